//! Where the book is kept.

pub mod book_file;
