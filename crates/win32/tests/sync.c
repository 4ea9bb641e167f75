/* Mutexes, semaphores and timers of the machine, and the locks of one process. For any driver.
 *
 *     sync           all of it
 *     sync own       takes a mutex, says so, and waits to be killed
 *     sync wait      waits for that mutex */
#include <windows.h>
#include <string.h>
#include "check.h"

#define THREADS 4
#define ROUNDS 200

static HANDLE mutex, semaphore;
static volatile LONG inside, most;
static int counter;
static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;
static CRITICAL_SECTION section;
static DWORD slot;

static DWORD counts(LPVOID unused) {
    int round;
    (void)unused;
    for (round = 0; round < ROUNDS; round++) {
        CHECK(WaitForSingleObject(mutex, INFINITE) == WAIT_OBJECT_0);
        /* An owner may take it again. */
        CHECK(WaitForSingleObject(mutex, 0) == WAIT_OBJECT_0);
        counter++;
        CHECK(ReleaseMutex(mutex) && ReleaseMutex(mutex));
    }
    FAILS(ReleaseMutex(mutex), ERROR_NOT_OWNER);
    return 0;
}

static DWORD enters(LPVOID unused) {
    int round;
    (void)unused;
    for (round = 0; round < ROUNDS; round++) {
        LONG now, seen;
        CHECK(WaitForSingleObject(semaphore, INFINITE) == WAIT_OBJECT_0);
        now = InterlockedIncrement(&inside);
        while ((seen = most) < now && InterlockedCompareExchange(&most, now, seen) != seen) {
        }
        InterlockedDecrement(&inside);
        CHECK(ReleaseSemaphore(semaphore, 1, NULL));
    }
    return 0;
}

static DWORD owns_and_ends(LPVOID unused) {
    (void)unused;
    CHECK(WaitForSingleObject(mutex, INFINITE) == WAIT_OBJECT_0);
    return 0;
}

static void with_threads(LPTHREAD_START_ROUTINE routine) {
    HANDLE threads[THREADS];
    int index;
    for (index = 0; index < THREADS; index++) {
        threads[index] = CreateThread(NULL, 0, routine, NULL, 0, NULL);
        CHECK(threads[index] != NULL);
    }
    CHECK(WaitForMultipleObjects(THREADS, threads, TRUE, INFINITE) == WAIT_OBJECT_0);
    for (index = 0; index < THREADS; index++) {
        CHECK(CloseHandle(threads[index]));
    }
}

static void mutexes(void) {
    HANDLE thread, again;
    DWORD waited;
    mutex = CreateMutexA(NULL, TRUE, "Rb Mutex");
    CHECK(mutex != NULL && GetLastError() == 0);
    again = CreateMutexW(NULL, TRUE, L"Rb Mutex");
    CHECK(again != NULL && GetLastError() == ERROR_ALREADY_EXISTS);
    CHECK(CloseHandle(again));
    again = OpenMutexA(SYNCHRONIZE, FALSE, "Rb Mutex");
    CHECK(again != NULL && CloseHandle(again));
    FAILS(OpenSemaphoreA(SYNCHRONIZE, FALSE, "Rb Mutex"), ERROR_INVALID_HANDLE);
    FAILS(OpenMutexW(SYNCHRONIZE, FALSE, L"Nobody"), ERROR_FILE_NOT_FOUND);
    CHECK(ReleaseMutex(mutex));
    FAILS(ReleaseMutex(mutex), ERROR_NOT_OWNER);
    with_threads(counts);
    CHECK(counter == THREADS * ROUNDS);
    thread = CreateThread(NULL, 0, owns_and_ends, NULL, 0, NULL);
    CHECK(WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0 && CloseHandle(thread));
    waited = WaitForSingleObject(mutex, INFINITE);
    CHECK(waited == WAIT_ABANDONED);
    CHECK(WaitForSingleObject(mutex, 0) == WAIT_OBJECT_0 && ReleaseMutex(mutex) && ReleaseMutex(mutex));
    /* Its last handle goes while it is owned. */
    CHECK(WaitForSingleObject(mutex, 0) == WAIT_OBJECT_0 && CloseHandle(mutex));
}

static void semaphores(void) {
    LONG before = 77;
    FAILS(CreateSemaphoreA(NULL, 3, 2, NULL), ERROR_INVALID_PARAMETER);
    FAILS(CreateSemaphoreA(NULL, -1, 2, NULL), ERROR_INVALID_PARAMETER);
    FAILS(CreateSemaphoreA(NULL, 0, 0, NULL), ERROR_INVALID_PARAMETER);
    semaphore = CreateSemaphoreW(NULL, 0, 2, NULL);
    CHECK(semaphore != NULL);
    CHECK(WaitForSingleObject(semaphore, 0) == WAIT_TIMEOUT);
    CHECK(ReleaseSemaphore(semaphore, 2, &before) && before == 0);
    FAILS(ReleaseSemaphore(semaphore, 1, &before), ERROR_TOO_MANY_POSTS);
    FAILS(ReleaseSemaphore(semaphore, 0, NULL), ERROR_INVALID_PARAMETER);
    FAILS(ReleaseMutex(semaphore), ERROR_INVALID_HANDLE);
    with_threads(enters);
    CHECK(most >= 1 && most <= 2);
    CHECK(WaitForSingleObject(semaphore, 0) == WAIT_OBJECT_0 && ReleaseSemaphore(semaphore, 1, &before) && before == 1);
    CHECK(CloseHandle(semaphore));
}

static void timers(void) {
    HANDLE timer = CreateWaitableTimerW(NULL, FALSE, NULL), both[2];
    LARGE_INTEGER due;
    int round;
    CHECK(timer != NULL);
    both[0] = CreateEventA(NULL, TRUE, FALSE, NULL);
    both[1] = timer;
    FAILS(SetWaitableTimer(timer, NULL, 0, NULL, NULL, FALSE), ERROR_INVALID_PARAMETER);
    due.QuadPart = -1;
    FAILS(SetWaitableTimer(timer, &due, -1, NULL, NULL, FALSE), ERROR_INVALID_PARAMETER);
    CHECK(SetWaitableTimer(timer, &due, 1, NULL, NULL, FALSE));
    for (round = 0; round < 5; round++) {
        CHECK(WaitForMultipleObjects(2, both, FALSE, INFINITE) == WAIT_OBJECT_0 + 1);
    }
    due.QuadPart = -36000000000;
    CHECK(SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE));
    CHECK(WaitForSingleObject(timer, 0) == WAIT_TIMEOUT && CancelWaitableTimer(timer));
    /* Long ago. */
    due.QuadPart = 1;
    CHECK(SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE) && WaitForSingleObject(timer, INFINITE) == WAIT_OBJECT_0);
    /* One that is set is closed. */
    due.QuadPart = -36000000000;
    CHECK(SetWaitableTimer(timer, &due, 1, NULL, NULL, FALSE));
    CHECK(CloseHandle(timer) && CloseHandle(both[0]));
}

static DWORD adds_under_the_lock(LPVOID unused) {
    int round;
    (void)unused;
    CHECK(TlsGetValue(slot) == NULL && TlsSetValue(slot, &round) && TlsGetValue(slot) == &round);
    for (round = 0; round < ROUNDS; round++) {
        AcquireSRWLockExclusive(&lock);
        counter++;
        ReleaseSRWLockExclusive(&lock);
        EnterCriticalSection(&section);
        inside++;
        LeaveCriticalSection(&section);
    }
    AcquireSRWLockExclusive(&lock);
    most++;
    ReleaseSRWLockExclusive(&lock);
    WakeConditionVariable(&changed);
    return 0;
}

static void locks_of_one_process(void) {
    counter = 0;
    most = 0;
    inside = 0;
    slot = TlsAlloc();
    CHECK(slot != TLS_OUT_OF_INDEXES);
    FAILS(TlsSetValue(0x7fffffff, NULL), ERROR_INVALID_PARAMETER);
    InitializeCriticalSection(&section);
    AcquireSRWLockShared(&lock);
    CHECK(TryAcquireSRWLockShared(&lock) && !TryAcquireSRWLockExclusive(&lock));
    ReleaseSRWLockShared(&lock);
    ReleaseSRWLockShared(&lock);
    CHECK(TryAcquireSRWLockExclusive(&lock) && !TryAcquireSRWLockShared(&lock));
    FAILS(SleepConditionVariableSRW(&changed, &lock, 1, 0), ERROR_TIMEOUT);
    ReleaseSRWLockExclusive(&lock);
    EnterCriticalSection(&section);
    FAILS(SleepConditionVariableCS(&changed, &section, 1), ERROR_TIMEOUT);
    LeaveCriticalSection(&section);
    with_threads(adds_under_the_lock);
    AcquireSRWLockExclusive(&lock);
    CHECK(counter == THREADS * ROUNDS && inside == THREADS * ROUNDS);
    ReleaseSRWLockExclusive(&lock);
    /* Somebody else changes what is waited for. */
    most = 0;
    {
        HANDLE thread = CreateThread(NULL, 0, adds_under_the_lock, NULL, 0, NULL);
        AcquireSRWLockShared(&lock);
        while (most == 0) {
            CHECK(SleepConditionVariableSRW(&changed, &lock, INFINITE, CONDITION_VARIABLE_LOCKMODE_SHARED));
        }
        ReleaseSRWLockShared(&lock);
        CHECK(WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0 && CloseHandle(thread));
    }
    CHECK(TlsFree(slot));
    FAILS(TlsFree(slot), ERROR_INVALID_PARAMETER);
    DeleteCriticalSection(&section);
}

static BOOL handles_control(DWORD event) {
    (void)event;
    return TRUE;
}

static void the_program_itself(void) {
    char file[512];
    DWORD length = GetModuleFileNameA(NULL, file, sizeof(file));
    CHECK(length > 0 && strlen(file) == length);
    CHECK(GetModuleFileNameA(NULL, file, 4) == 4 && GetLastError() == ERROR_INSUFFICIENT_BUFFER && strlen(file) == 3);
    CHECK(strstr(GetCommandLineA(), "sync") != NULL && GetCommandLineW()[0] != 0);
    CHECK(GetModuleHandleA(NULL) != NULL && GetModuleHandleW(L"NTDLL") != NULL);
    FAILS(GetModuleHandleA("nobody.dll"), ERROR_MOD_NOT_FOUND);
    CHECK((void *)GetProcAddress(GetModuleHandleA("kernel32.dll"), "CreateMutexA") == (void *)CreateMutexA);
    FAILS(GetProcAddress(GetModuleHandleA("kernel32"), "malloc"), ERROR_PROC_NOT_FOUND);
    FAILS(GetProcAddress(NULL, "CreateMutexA"), ERROR_MOD_NOT_FOUND);
    CHECK(SetConsoleCtrlHandler(handles_control, TRUE) && SetConsoleCtrlHandler(handles_control, FALSE));
    FAILS(SetConsoleCtrlHandler(handles_control, FALSE), ERROR_INVALID_PARAMETER);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        mutex = CreateMutexA(NULL, FALSE, "Rb Shared Mutex");
        CHECK(mutex != NULL);
        CHECK(strcmp(argv[1], "own") != 0 || WaitForSingleObject(mutex, INFINITE) == WAIT_OBJECT_0);
        printf("ready\n");
        fflush(stdout);
        if (strcmp(argv[1], "own") == 0) {
            Sleep(INFINITE);
        }
        CHECK(WaitForSingleObject(mutex, INFINITE) == WAIT_ABANDONED);
    } else {
        the_program_itself();
        mutexes();
        semaphores();
        timers();
        locks_of_one_process();
    }
    printf("content\n");
    return 0;
}
