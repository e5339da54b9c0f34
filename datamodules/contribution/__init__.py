"""Which questions need their media: rules over cached probe counts."""
