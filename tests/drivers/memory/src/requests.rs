//! Requests of the driver's own, for the direct device of the sample `buffers`.

use driver::abi::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_DEVICE_UNKNOWN, FILE_READ_DATA, FILE_WRITE_DATA, METHOD_BUFFERED,
    METHOD_IN_DIRECT, METHOD_NEITHER, METHOD_OUT_DIRECT, NTSTATUS, STATUS_INVALID_PARAMETER,
};
use driver::{Event, PassiveLevel, PoolArc, PoolBox, SpinLock, Target, utf16};

use crate::TAG;

// As the sample `buffers` says.
const INVERT_BUFFERED: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
const STORE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_IN_DIRECT, FILE_ANY_ACCESS);
const LOAD: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
const INVERT_NEITHER: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_NEITHER, FILE_ANY_ACCESS);

fn target() -> Result<Target, NTSTATUS> {
    Target::open(TAG, utf16!(r"\Device\Buffers"), FILE_READ_DATA | FILE_WRITE_DATA)
}

pub(crate) fn controls(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let buffers = target()?;
    let mut answer = [0; 4];
    for code in [INVERT_BUFFERED, INVERT_NEITHER] {
        answer.fill(0);
        assert_eq!(buffers.control(level, code, &[0xF0, 0x55, 0xFF], &mut answer)?, 3);
        assert_eq!(answer, [0x0F, 0xAA, 0, 0]);
    }
    assert_eq!(buffers.control_with_data(level, STORE, &[0xFF], &[1, 2, 3])?, 3);
    answer.fill(0);
    assert_eq!(buffers.control(level, LOAD, &1_u32.to_le_bytes(), &mut answer)?, 2);
    assert_eq!(answer, [0xFD, 0xFC, 0, 0]);
    assert_eq!(buffers.control_with_data(level, LOAD, &[0; 4], &[0; 4]), Err(STATUS_INVALID_PARAMETER));
    Ok(())
}

/// A buffer that came back, and with what.
type Came = SpinLock<Option<(PoolBox<[u8]>, Result<usize, NTSTATUS>)>>;

pub(crate) fn reads_and_writes(level: PassiveLevel) -> Result<(), NTSTATUS> {
    let buffers = target()?;
    assert_eq!(buffers.write(level, &[7; 5000], 0)?, 5000);
    let mut got = PoolBox::zeroed(TAG, 6000)?;
    assert_eq!(buffers.read(level, &mut got, 0)?, 5000);
    assert!(got[..5000].iter().all(|byte| *byte == 7) && got[5000] == 0);

    let came = PoolArc::new(TAG, (Came::new(None), Event::synchronization(TAG, false)?))?;
    let done = |came: PoolArc<(Came, Event)>| {
        move |buffer, result| {
            let nothing = came.0.with(|place| place.replace((buffer, result)));
            assert!(nothing.is_none(), "one at a time");
            came.1.set();
        }
    };
    buffers.write_later(PoolBox::copy_of(TAG, &[9; 4097])?, 0, done(came.clone()))?;
    came.1.wait(level);
    assert_eq!(came.0.with(Option::take).map(|(_, result)| result), Some(Ok(4097)));
    buffers.read_later(PoolBox::zeroed(TAG, 5000)?, 0, done(came.clone()))?;
    came.1.wait(level);
    let (buffer, result) = came.0.with(Option::take).expect("it came");
    assert_eq!(result, Ok(4097));
    assert!(buffer[..4097].iter().all(|byte| *byte == 9) && buffer[4097] == 0);
    Ok(())
}
