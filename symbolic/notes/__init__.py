"""Five published notes on backpropagation, each told in its own notation, order and layout: see `NOTES`."""
