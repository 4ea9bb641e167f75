//! NT's layouts, constants and status codes exactly as in the public headers.
