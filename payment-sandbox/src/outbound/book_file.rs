//! The book as a file: a line of JSON for each call, only ever appended to. It is not flushed to the disk: what is promised is
//! that it survives the death of the process, not that of the machine.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use crate::domain::book::Entry;

/// The book can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BookFileError {
    /// The file, or its disk.
    #[error("BOOK_FILE {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// What lies there was not written by us.
    #[error("BOOK_FILE {path}: line {line} is no call: {source}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// The open file.
#[derive(Debug)]
pub struct BookFile {
    file: File,
    path: PathBuf,
    /// Of whole lines, in bytes.
    length: u64,
}

impl BookFile {
    /// Opens the file, making it if there is none, and reads what is in it. A last line that is not whole was never answered,
    /// and goes.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), BookFileError> {
        let failed = |source| BookFileError::Io { path: path.to_owned(), source };
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        file.set_len(length).map_err(failed)?;
        let mut entries = Vec::new();
        for (line, json) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            let malformed = |source| BookFileError::Malformed { path: path.to_owned(), line, source };
            entries.push(serde_json::from_slice(json).map_err(malformed)?);
        }
        Ok((Self { file, path: path.to_owned(), length }, entries))
    }

    /// Appends a line. After an error it is as if nothing had been written.
    pub fn append(&mut self, entry: &Entry) -> Result<(), BookFileError> {
        let mut line = serde_json::to_vec(entry).map_err(|error| self.failed(error.into()))?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // If not even that works, the next start will complain.
            drop(self.file.set_len(self.length));
            return Err(self.failed(error));
        }
        self.length += u64::try_from(line.len()).unwrap_or_default();
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> BookFileError {
        BookFileError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests;
