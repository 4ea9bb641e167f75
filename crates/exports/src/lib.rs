//! One row per kernel export.
