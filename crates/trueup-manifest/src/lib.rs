//! Text to desired apps, or a diagnostic that points into the text.
