"""The firmware from the laptop's side: built for a board, and run in an emulator."""
