"""The words of cajanegra as plain values: calls, failures, events, patterns. Pure: no input or output."""
