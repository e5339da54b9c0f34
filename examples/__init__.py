"""A reward, a verifier and a format of one's own, with eight clips to try them on."""
