"""`verify`: train trials again under other seeds, and measure them on the test part."""
