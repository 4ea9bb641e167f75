//! The application of `shelf`: a small volume, and all that may be asked of its files.

use std::error::Error;
use std::sync::Arc;

use abi::{
    FILE_LIST_DIRECTORY, FILE_NOTIFY_CHANGE_FILE_NAME, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
};
use app::{
    Buffer, Device, Disposition, FindFiles, LockOptions, MoveMethod, OpenOptions, Overlapped, Transport,
    create_directory, delete_file, directory_changes, disk_free_space, remove_directory, set_volume_label,
};

use crate::Say;

const SHARE: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// Does everything once, in a folder of its own, which is gone in the end.
///
/// # Errors
/// What a call fails with.
pub fn run(transport: Arc<dyn Transport>, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let transport = &*transport;
    volume(transport, say)?;
    let folder = format!(r"\\.\Shelf\tales{}", std::process::id());
    create_directory(transport, &folder)?;
    files(transport, &folder, say)?;
    changes(transport, &folder, say)?;
    locks(transport, &folder, say)?;
    let temporary = OpenOptions::new().disposition(Disposition::CreateNew).delete_on_close(true);
    temporary.open(transport, &format!(r"{folder}\scratch"))?.write(b"for a while")?;
    for found in FindFiles::new(transport, &format!(r"{folder}\*"))? {
        delete_file(transport, &format!(r"{folder}\{}", found?.name))?;
    }
    remove_directory(transport, &folder)?;
    let left = FindFiles::new(transport, &format!(r"{folder}\*")).err().map(|error| error.code);
    say(&format!("cleared away: {left:?}"));
    Ok(())
}

fn open<'a>(
    transport: &'a dyn Transport,
    path: &str,
    disposition: Disposition,
) -> Result<Device<'a>, app::Win32Error> {
    OpenOptions::new().share(SHARE).disposition(disposition).open(transport, path)
}

fn volume(transport: &dyn Transport, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    set_volume_label(transport, r"\\.\Shelf\", "Tales")?;
    let root = OpenOptions::new().access(FILE_LIST_DIRECTORY).share(SHARE).directory(true);
    let told = root.open(transport, r"\\.\Shelf\")?.volume_information()?;
    let space = disk_free_space(transport, r"\\.\Shelf\")?;
    say(&format!("{:?} of {}, {} KiB", told.label, told.file_system, space.total / 1024));
    Ok(())
}

fn files(transport: &dyn Transport, folder: &str, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let file = open(transport, &format!(r"{folder}\fox.txt"), Disposition::CreateNew)?;
    file.write(b"the quick brown fox")?;
    file.set_file_pointer(4, MoveMethod::Begin)?;
    let mut word = [0; 5];
    file.read(&mut word)?;
    let at = file.set_file_pointer(0, MoveMethod::Current)?;
    say(&format!("read {:?} up to {at}", String::from_utf8_lossy(&word)));
    file.set_file_pointer(-3, MoveMethod::End)?;
    file.write(b"dog")?;
    file.set_file_pointer(9, MoveMethod::Begin)?;
    file.set_end_of_file()?;
    let told = file.file_information()?;
    say(&format!("{:?}, {} bytes, {} name", file.file_type()?, told.size, told.links));

    open(transport, &format!(r"{folder}\dog.txt"), Disposition::OpenAlways)?.write(b"lazy")?;
    open(transport, &format!(r"{folder}\log"), Disposition::CreateAlways)?;
    let found = FindFiles::new(transport, &format!(r"{folder}\*.TXT"))?;
    let found: Result<Vec<_>, _> =
        found.map(|file| file.map(|file| format!("{} {}", file.name, file.size))).collect();
    say(&format!("found {}", found?.join(", ")));
    Ok(())
}

fn changes(transport: &dyn Transport, folder: &str, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let watched =
        OpenOptions::new().access(FILE_LIST_DIRECTORY).share(SHARE).directory(true).overlapped(true);
    let watched = watched.open(transport, folder)?;
    let room = Buffer::new(transport, 1024)?;
    let told =
        watched.read_directory_changes(room, false, FILE_NOTIFY_CHANGE_FILE_NAME, &Overlapped::new())?;
    let waits = !told.has_completed();
    open(transport, &format!(r"{folder}\news"), Disposition::CreateNew)?;
    let told = told.finish();
    let length = told.result?;
    for change in directory_changes(&told.buffer, length) {
        say(&format!("waited: {waits}, then action {} of {}", change.action, change.name));
    }
    Ok(())
}

fn locks(transport: &dyn Transport, folder: &str, say: Say<'_>) -> Result<(), Box<dyn Error>> {
    let path = format!(r"{folder}\fox.txt");
    let first = open(transport, &path, Disposition::OpenExisting)?;
    let second = OpenOptions::new().share(SHARE).overlapped(true).open(transport, &path)?;
    let exclusive = LockOptions { exclusive: true, fail_immediately: false };
    first.lock(0, 3, exclusive)?;
    let at_once = LockOptions { exclusive: true, fail_immediately: true };
    let refused = second.lock(0, 1, at_once).err().map(|error| error.code);
    let nothing = Buffer::new(transport, 0)?;
    let waiting = second.lock_overlapped(1, exclusive, nothing, &Overlapped::new())?;
    let waits = !waiting.has_completed();
    first.unlock(0, 3)?;
    waiting.finish().result?;
    let kept_out = first.write(b"a").err().map(|error| error.code);
    say(&format!("at once: {refused:?}, waited: {waits}, the other is kept out: {kept_out:?}"));
    Ok(())
}
