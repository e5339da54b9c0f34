"""Adapters of generic formats: plain columns and chats."""
