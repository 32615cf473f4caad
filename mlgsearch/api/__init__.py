"""The library: what `import mlgsearch` offers to scripts and notebooks."""
