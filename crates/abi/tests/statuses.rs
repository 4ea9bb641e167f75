//! Severities, names and Win32 errors of statuses.

use ringbridge_abi::*;

#[test]
fn severity_is_the_top_two_bits() {
    assert!(STATUS_PENDING.is_success() && !STATUS_PENDING.is_information());
    assert!(STATUS_OBJECT_NAME_EXISTS.is_success() && STATUS_OBJECT_NAME_EXISTS.is_information());
    assert!(STATUS_BUFFER_OVERFLOW.is_warning() && !STATUS_BUFFER_OVERFLOW.is_success());
    assert!(STATUS_BUFFER_TOO_SMALL.is_error() && !STATUS_BUFFER_TOO_SMALL.is_success());
    assert_eq!(NTSTATUS::from_bits(0xC000_0010), STATUS_INVALID_DEVICE_REQUEST);
    assert_eq!(STATUS_INVALID_DEVICE_REQUEST.bits(), 0xC000_0010);
    assert_eq!(format!("{STATUS_INVALID_DEVICE_REQUEST:?}"), "0xC0000010");
}

#[test]
fn usual_names_win_over_aliases() {
    assert_eq!(status_name(STATUS_WAIT_0), Some("STATUS_SUCCESS"));
    assert_eq!(status_name(STATUS_PENDING), Some("STATUS_PENDING"));
    assert_eq!(status_name(STATUS_NO_MORE_FILES), Some("STATUS_NO_MORE_FILES"));
    assert_eq!(status_name(STATUS_ACCESS_VIOLATION), Some("STATUS_ACCESS_VIOLATION"));
    assert_eq!(status_name(STATUS_CONNECTION_COUNT_LIMIT), Some("STATUS_CONNECTION_COUNT_LIMIT"));
    assert_eq!(status_name(STATUS_FLT_DISALLOW_FAST_IO), Some("STATUS_FLT_DISALLOW_FAST_IO"));
    assert_eq!(status_name(NTSTATUS::from_bits(0xE123_4567)), None);
    assert_eq!(win32_name(997), Some("ERROR_IO_PENDING"));
    assert_eq!(win32_name(0), Some("ERROR_SUCCESS"));
    assert_eq!(win32_name(1), Some("ERROR_INVALID_FUNCTION"));
    assert_eq!(win32_name(u32::MAX), None);
    assert_eq!(bugcheck_name(0xA), Some("IRQL_NOT_LESS_OR_EQUAL"));
    assert_eq!(bugcheck_name(0x35), Some("NO_MORE_IRP_STACK_LOCATIONS"));
    assert_eq!(bugcheck_name(0xC4), Some("DRIVER_VERIFIER_DETECTED_VIOLATION"));
    assert_eq!(bugcheck_name(0xC9), Some("DRIVER_VERIFIER_IOMANAGER_VIOLATION"));
}

#[test]
fn applications_get_the_documented_win32_error() {
    for (status, error) in [
        (STATUS_SUCCESS, 0),
        (STATUS_INVALID_DEVICE_REQUEST, 1),
        (STATUS_NOT_IMPLEMENTED, 1),
        (STATUS_OBJECT_NAME_NOT_FOUND, 2),
        (STATUS_OBJECT_PATH_NOT_FOUND, 3),
        (STATUS_ACCESS_DENIED, 5),
        (STATUS_DELETE_PENDING, 5),
        (STATUS_PORT_DISCONNECTED, 6),
        (STATUS_INVALID_HANDLE, 6),
        (STATUS_INFO_LENGTH_MISMATCH, 24),
        (STATUS_UNSUCCESSFUL, 31),
        (STATUS_NOT_SUPPORTED, 50),
        (STATUS_INVALID_PARAMETER, 87),
        (STATUS_PIPE_BROKEN, 109),
        (STATUS_BUFFER_TOO_SMALL, 122),
        (STATUS_DEVICE_BUSY, 170),
        (STATUS_OBJECT_NAME_COLLISION, 183),
        (STATUS_BUFFER_OVERFLOW, 234),
        (STATUS_NO_SUCH_DEVICE, 433),
        (STATUS_CANCELLED, 995),
        (STATUS_PENDING, 997),
        (STATUS_ACCESS_VIOLATION, 998),
        (STATUS_CONNECTION_COUNT_LIMIT, 1238),
        (STATUS_INSUFFICIENT_RESOURCES, 1450),
        (STATUS_TIMEOUT, 1460),
        (STATUS_INVALID_USER_BUFFER, 1784),
        (STATUS_INVALID_BUFFER_SIZE, 1784),
        (STATUS_ILLEGAL_INSTRUCTION, 0xC000_001D),
        (NTSTATUS::from_bits(0xC007_0005), 5),
        (NTSTATUS::from_bits(0xE123_4567), ERROR_MR_MID_NOT_FOUND),
    ] {
        assert_eq!(win32_from_status(status), error, "{status:?}");
    }
}

#[test]
fn control_codes_pack_as_ctl_code_does() {
    let code = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_NEITHER, FILE_READ_ACCESS | FILE_WRITE_ACCESS);
    assert_eq!(code, 0x0022_E003);
    assert_eq!(METHOD_FROM_CTL_CODE(code), METHOD_NEITHER);
    assert_eq!(DEVICE_TYPE_FROM_CTL_CODE(code), FILE_DEVICE_UNKNOWN);
    assert_eq!(ACCESS_FROM_CTL_CODE(code), FILE_READ_ACCESS | FILE_WRITE_ACCESS);
}
