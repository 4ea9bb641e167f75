//! The application's side: a Win32-shaped API over any transport.
