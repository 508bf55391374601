//! What a configuration leaves unsaid.

/// Whether a value is its type's default, for keys that are not written then.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
