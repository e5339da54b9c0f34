"""Formats that anyone may have written: plain columns and chats."""
