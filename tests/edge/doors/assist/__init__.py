"""The door for Home Assistant's Assist."""
