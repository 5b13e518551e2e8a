"""Real servers under the launcher: killed, reloaded, frozen out, and asked what they counted."""
