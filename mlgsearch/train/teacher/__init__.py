"""The teacher: trained or loaded, with its logits, and sent to the workers."""
