//! Compile-time proof that layouts and values are the public headers'. Nothing of this module exists at run time.

macro_rules! layout {
    ($type:ident $size:expr; $($offset:literal $($field:ident).+,)*) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(core::mem::offset_of!($type, $($field).+) == $offset);)*
        };
    };
}

macro_rules! values {
    ($($name:ident = $value:expr,)*) => {
        $(const _: () = assert!($name == $value);)*
    };
}

#[rustfmt::skip]
mod layouts;
mod published;
#[rustfmt::skip]
mod values;
