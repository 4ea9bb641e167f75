// Instructions that work in a kernel and fault in a process.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

__declspec(dllimport) void Note(u64 value);

#define SHARED 0xFFFFF78000000000ull
#define AT(type, offset) (*(volatile type *)(SHARED + (offset)))
#define CODE ((u32)__exception_code())
#define EXPORT __declspec(dllexport)

EXPORT u64 ReadCr8(void) {
    u64 value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

EXPORT u64 ReadCr8IntoR15(void) {
    u64 value;
    __asm__ volatile("mov %%cr8, %%r15\n\tmov %%r15, %0" : "=r"(value) : : "r15");
    return value;
}

EXPORT void WriteCr8(u64 value) { __asm__ volatile("mov %0, %%cr8" : : "r"(value)); }

EXPORT u64 WriteBadCr8(u64 value) {
    __try {
        WriteCr8(value);
        return 0;
    } __except (1) {
        return CODE;
    }
}

EXPORT u64 Load8(u64 offset) { return AT(u8, offset); }
EXPORT u64 Load16(u64 offset) { return AT(u16, offset); }
EXPORT u64 Load32(u64 offset) { return AT(u32, offset); }
EXPORT u64 Load64(u64 offset) { return AT(u64, offset); }
EXPORT u64 LoadSigned16(u64 offset) { return (u64)(long long)AT(short, offset); }
EXPORT u64 LoadSigned32(u64 offset) { return (u64)(long long)AT(int, offset); }

EXPORT u64 LoadLowByte(u64 keep, u64 offset) {
    __asm__ volatile("movb (%1), %b0" : "+a"(keep) : "r"(SHARED + offset));
    return keep;
}

EXPORT u64 LoadIntoItsBase(u64 offset) {
    u64 base = SHARED + offset;
    __asm__ volatile("mov (%0), %0" : "+r"(base));
    return base;
}

EXPORT u64 LoadWordIntoItsBase(u64 offset) {
    u64 base = SHARED + offset;
    __asm__ volatile("movw (%0), %w0" : "+r"(base));
    return base;
}

EXPORT u64 LoadConstantAddress(void) {
    u64 value;
    __asm__ volatile("movabs 0xFFFFF78000000320, %%rax" : "=a"(value));
    return value;
}

EXPORT u64 LoadIndexed(u64 index) {
    u64 value;
    __asm__ volatile("mov 8(%1,%2,8), %0" : "=r"(value) : "r"(SHARED), "r"(index));
    return value;
}

EXPORT u64 AddAndFlags(u64 offset, u64 value) {
    u64 flags;
    __asm__ volatile("add (%2), %1\n\tpushfq\n\tpop %0" : "=r"(flags), "+r"(value) : "r"(SHARED + offset) : "cc");
    Note(value);
    return flags & 0x8D5;
}

EXPORT u64 CompareEqual(u64 offset, u64 value) {
    u8 equal;
    __asm__ volatile("cmp (%1), %2\n\tsete %0" : "=r"(equal) : "r"(SHARED + offset), "r"(value) : "cc");
    return equal;
}

EXPORT u64 Multiply(u64 offset, u64 value) {
    u64 high = 0;
    __asm__ volatile("mulq (%2)" : "+a"(value), "+d"(high) : "r"(SHARED + offset) : "cc");
    Note(high);
    return value;
}

EXPORT u64 LoadVector(u64 offset) {
    u64 halves[2] __attribute__((aligned(16)));
    __asm__ volatile("movdqa (%1), %%xmm7\n\tmovdqa %%xmm7, %0" : "=m"(halves) : "r"(SHARED + offset) : "xmm7");
    Note(halves[0]);
    return halves[1];
}

// Every register keeps its value across an emulated instruction.
EXPORT u64 RegistersSurvive(u64 seed) {
    u64 sum;
    __asm__ volatile("mov %1, %%rbx\n\tlea 1(%%rbx), %%rsi\n\tlea 2(%%rbx), %%rdi\n\tlea 3(%%rbx), %%r8\n\t"
                     "lea 4(%%rbx), %%r9\n\tlea 5(%%rbx), %%r10\n\tlea 6(%%rbx), %%r11\n\tlea 7(%%rbx), %%r12\n\t"
                     "lea 8(%%rbx), %%r13\n\tlea 9(%%rbx), %%r14\n\tlea 10(%%rbx), %%r15\n\tmovq %%rbx, %%xmm3\n\t"
                     "movabs $0xFFFFF78000000000, %%rcx\n\tmov (%%rcx), %%rdx\n\tmov %%cr8, %%rax\n\t"
                     "movq %%xmm3, %%rax\n\tadd %%rbx, %%rax\n\tadd %%rsi, %%rax\n\tadd %%rdi, %%rax\n\tadd %%r8, %%rax\n\t"
                     "add %%r9, %%rax\n\tadd %%r10, %%rax\n\tadd %%r11, %%rax\n\tadd %%r12, %%rax\n\tadd %%r13, %%rax\n\t"
                     "add %%r14, %%rax\n\tadd %%r15, %%rax\n\tmov %%rax, %0"
                     : "=m"(sum) : "r"(seed)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm3", "cc");
    return sum;
}

// Whatever address comes: shared data, memory of its own, or none; notes what the exception says.
static int note_fault(void *pointers) {
    struct { unsigned code, flags; void *next; u64 address; unsigned count; u64 information[15]; } *record = *(void **)pointers;
    Note(record->code);
    Note(record->information[0]);
    Note(record->information[1]);
    return 1;
}

static __attribute__((noinline)) u64 load_from(u64 address, u64 *place) {
    u64 value;
    __asm__ volatile("lea 1f(%%rip), %1\n\tmov $77, %%ecx\n\tmov $78, %%edx\n\tstc\n\t1: mov (%2), %0\n\tjnc 2f\n\tadd %%rcx, %0\n\t"
                     "add %%rdx, %0\n\t2:"
                     : "=&r"(value), "=&r"(*place) : "r"(address) : "rcx", "rdx", "cc", "memory");
    return value;
}

EXPORT u64 LoadAnywhere(u64 address) {
    static u64 word = 1234;
    u64 place;
    __try {
        return load_from(address ? address : (u64)&word, &place);
    } __except (note_fault(__exception_info())) {
        return CODE;
    }
}

// Sites that stand side by side, shorter than a jump.
EXPORT u64 LoadSideBySide(u64 offset) {
    u64 first, second, third, level;
    __asm__ volatile("mov (%4), %0\n\tmov 8(%4), %1\n\tmov (%4), %2\n\tmov %%cr8, %3"
                     : "=&r"(first), "=&r"(second), "=&r"(third), "=&r"(level) : "r"(SHARED + offset));
    return first ^ second << 1 ^ third << 2 ^ level;
}

EXPORT u64 WriteAndRead(u64 value) {
    u64 read;
    __asm__ volatile("stc\n\tmov %1, %%cr8\n\tmov %%cr8, %0\n\tadc $0, %0" : "=r"(read) : "r"(value) : "cc", "memory");
    return read;
}

__declspec(dllimport) void ExRaiseStatus(u32 status);

// The call's return address is a patched site, with a jump out of the function in place of its own bytes.
static __attribute__((noinline)) u64 raise_before_cr8(u64 status, void *routine) {
    u64 value;
    Note(0);
    __asm__ volatile("test %%rcx, %%rcx\n\tjz 1f\n\tcall *%%rax\n\t1: mov %%cr8, %%rbx\n\tmov %%rbx, %0"
                     : "=r"(value), "+c"(status), "+a"(routine) : : "rbx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return value;
}

static __attribute__((noinline)) u64 with_finally(u64 status) {
    volatile u64 value = 0;
    __try {
        value = raise_before_cr8(status, (void *)ExRaiseStatus);
    } __finally {
        Note(1);
    }
    return value;
}

EXPORT u64 RaiseBeforeCr8(u64 status) {
    __try {
        return with_finally(status);
    } __except (1) {
        return CODE;
    }
}

EXPORT void WriteShared(void) {
    __try {
        AT(u32, 0) = 1;
    } __except (1) {
        Note(99);
    }
}

static int note_place(void *pointers, u64 place) {
    struct { unsigned code, flags; void *next; u64 address; unsigned count; u64 information[15]; } *record = *(void **)pointers;
    Note(record->code);
    Note(record->address - place);
    return 1;
}

#define PLACED(instruction)                                                                                     \
    u64 place;                                                                                                  \
    __asm__ volatile("lea 1f(%%rip), %0" : "=r"(place));                                                        \
    __try {                                                                                                     \
        __asm__ volatile("1: " instruction "\n\tnop" : : "a"(0), "d"(0), "c"(0) : "memory");                    \
        return 0;                                                                                               \
    } __except (note_place(__exception_info(), place)) {                                                        \
        return CODE;                                                                                            \
    }

EXPORT u64 Int3(void) { PLACED("int3") }
EXPORT u64 LongInt3(void) { PLACED(".byte 0xCD, 3") }
EXPORT u64 Int2c(void) { PLACED("int $0x2c") }
EXPORT u64 Int2d(void) { PLACED("int $0x2d") }
EXPORT u64 Rdmsr(void) { PLACED("rdmsr") }
EXPORT u64 Wrmsr(void) { PLACED("wrmsr") }
EXPORT u64 In(void) { PLACED("inb %%dx, %%al") }
EXPORT u64 Out(void) { PLACED("outb %%al, %%dx") }
EXPORT u64 Hlt(void) { PLACED("hlt") }
EXPORT u64 Cli(void) { PLACED("cli") }
EXPORT u64 Sti(void) { PLACED("sti") }
EXPORT u64 ReadCr3(void) { PLACED("mov %%cr3, %%rax") }
EXPORT u64 Ud2(void) { PLACED("ud2") }

EXPORT void FastFail(u64 reason) {
    __try {
        __asm__ volatile("int $0x29" : : "c"(reason));
    } __except (Note(98), 1) {
        Note(99);
    }
}

EXPORT u64 CurrentThread(void) {
    u64 thread;
    __asm__ volatile("mov %%gs:0x188, %0" : "=r"(thread));
    return thread;
}

int DriverEntry(void) { return 0; }
