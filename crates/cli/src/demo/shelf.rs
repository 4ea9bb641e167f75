//! The part about a volume: folders and files below a device, what they hold, and how they change.

use std::path::Path;

use abi::{FILE_LIST_DIRECTORY, FILE_NOTIFY_CHANGE_FILE_NAME, FILE_SHARE_READ, FILE_SHARE_WRITE};
use anyhow::Result;
use app::{
    Buffer, Disposition, FindFiles, LockOptions, MoveMethod, OpenOptions, Overlapped, create_directory,
    directory_changes, disk_free_space, set_volume_label,
};

use super::call;
use super::stage::Stage;
use crate::output::{Output, Tone};

const SHARE: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE;
const FOLDER: &str = r"\\.\Shelf\tales";
const FILE: &str = r"\\.\Shelf\tales\fox.txt";

/// See samples/shelf.
pub(super) fn show(folder: &Path, output: &mut Output) -> Result<()> {
    let stage = Stage::new(folder, &["shelf"])?;
    let process = stage.process();
    output.line("   shelf.sys is a volume in memory. What a program asks of a disk, it may ask here:")?;
    set_volume_label(&process, r"\\.\Shelf\", "Tales")?;
    let space = disk_free_space(&process, r"\\.\Shelf\")?;
    call(
        output,
        "SetVolumeLabel, GetDiskFreeSpaceEx",
        format_args!("{} of {} bytes free", space.free, space.total),
    )?;
    create_directory(&process, FOLDER)?;
    let file = OpenOptions::new().share(SHARE).disposition(Disposition::CreateNew).open(&process, FILE)?;
    file.write(b"the quick brown fox")?;
    file.set_file_pointer(4, MoveMethod::Begin)?;
    let mut word = [0; 5];
    file.read(&mut word)?;
    let result = format_args!("{:?}", String::from_utf8_lossy(&word));
    call(output, "WriteFile, SetFilePointerEx(4), ReadFile(5 bytes)", result)?;
    stage.skip();
    for found in FindFiles::new(&process, &format!(r"{FOLDER}\*.txt"))? {
        let found = found?;
        call(
            output,
            r"FindFirstFile(\\.\Shelf\tales\*.txt)",
            format_args!("{}, {} bytes", found.name, found.size),
        )?;
    }
    stage.draw("", output)?;

    output.line("   A program waits for what changes in a folder, another process makes a file there:")?;
    let options = OpenOptions::new().access(FILE_LIST_DIRECTORY).share(SHARE).directory(true);
    let watched = options.overlapped(true).open(&process, FOLDER)?;
    let room = Buffer::new(&process, 512)?;
    let told =
        watched.read_directory_changes(room, false, FILE_NOTIFY_CHANGE_FILE_NAME, &Overlapped::new())?;
    let other = stage.machine.process("another");
    drop(OpenOptions::new().disposition(Disposition::CreateNew).open(&other, &format!(r"{FOLDER}\news"))?);
    let told = told.finish();
    let length = told.result?;
    for change in directory_changes(&told.buffer, length) {
        let result = format_args!("action {}: {}", change.action, change.name);
        call(output, "ReadDirectoryChangesW", result)?;
    }

    output.line("   And a range that one has locked is not another's:")?;
    file.lock(0, 3, LockOptions { exclusive: true, fail_immediately: true })?;
    let second = OpenOptions::new().share(SHARE).open(&other, FILE)?;
    match second.write(b"a") {
        Ok(_) => call(output, "WriteFile by another process", "it was let")?,
        Err(error) => call(output, "WriteFile by another process", output.paint(Tone::Bad, error))?,
    }
    file.unlock(0, 3)?;
    call(output, "UnlockFileEx, WriteFile again", format_args!("{} byte", second.write(b"a")?))
}
