"""What a media file is and whether it is whole, without decoding it."""
