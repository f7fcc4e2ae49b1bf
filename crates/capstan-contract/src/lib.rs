//! What Capstan relies on, as functions that run on the sandbox and on the real services.
