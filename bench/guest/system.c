/*
 * system.c: the kernel's work for programs: system calls, pipes, processes, page faults.
 */
#include "work.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

uint32_t work_syscall(unsigned scale)
{
    int fd = open(work_self, O_RDONLY);
    unsigned char buffer[16]; /* the head of an ELF file: the same in every build */
    uint32_t sum = 0;
    if (fd < 0) {
        work_die("syscall: no file to read");
    }
    for (unsigned n = work_count(120000, scale); n != 0; n--) {
        sum += syscall(SYS_getppid) >= 0;
        if (n % 4 == 0) {
            struct stat st;
            sum += pread(fd, buffer, sizeof(buffer), 0) == sizeof(buffer);
            sum = work_mix(sum, buffer[n % 16]);
            sum += fstat(fd, &st) == 0 && lseek(fd, 0, SEEK_END) == st.st_size;
        }
    }
    close(fd);
    return sum;
}

/* One byte to and fro between two processes. */
uint32_t work_pipe(unsigned scale)
{
    int to[2], from[2];
    unsigned rounds = work_count(6000, scale);
    if (pipe(to) != 0 || pipe(from) != 0) {
        work_die("pipe");
    }
    pid_t pid = fork();
    unsigned char byte = 0;
    if (pid == 0) {
        for (unsigned n = rounds; n != 0; n--) {
            if (read(to[0], &byte, 1) != 1) {
                _exit(1);
            }
            byte = (unsigned char)(byte * 3 + 1);
            if (write(from[1], &byte, 1) != 1) {
                _exit(1);
            }
        }
        _exit(0);
    }
    uint32_t sum = 0;
    for (unsigned n = rounds; n != 0; n--) {
        if (write(to[1], &byte, 1) != 1 || read(from[0], &byte, 1) != 1) {
            work_die("pipe: no byte");
        }
        sum = work_mix(sum, byte);
    }
    int status = 1;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        work_die("pipe: the other process failed");
    }
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    return sum;
}

/* Children that write to some of their memory and end; with exec if PATH is not null. */
static uint32_t children(unsigned count, const char *path)
{
    enum { PAGES = 64 };
    static unsigned char memory[PAGES * 4096];
    uint32_t sum = 1;
    for (unsigned i = 0; i < PAGES; i++) {
        memory[i * 4096] = (unsigned char)i;
    }
    for (unsigned n = 0; n < count; n++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (path) {
                execl(path, path, "nothing", (char *)NULL);
                _exit(127);
            }
            for (unsigned i = 0; i < 16; i++) {
                memory[(i * 4 + n) % PAGES * 4096]++;
            }
            _exit(memory[n % PAGES * 4096] & 0x7f);
        }
        int status = -1;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
            work_die("a child failed");
        }
        sum = work_mix(sum, (uint32_t)WEXITSTATUS(status));
    }
    return sum;
}

uint32_t work_fork(unsigned scale)
{
    return children(work_count(300, scale), NULL);
}

uint32_t work_exec(unsigned scale)
{
    return children(work_count(120, scale), work_self);
}

/* Fresh pages touched, protected, touched again and given back. */
uint32_t work_fault(unsigned scale)
{
    enum { PAGES = 2048 };
    uint32_t sum = 0;
    for (unsigned round = work_count(16, scale); round != 0; round--) {
        unsigned char *p =
            mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            work_die("fault: no memory");
        }
        madvise(p, PAGES * 4096, MADV_NOHUGEPAGE);
        for (unsigned i = 0; i < PAGES; i++) {
            p[i * 4096 + i] = (unsigned char)(i + round);
        }
        for (unsigned i = 0; i < PAGES; i++) {
            sum = work_mix(sum, p[i * 4096 + i]);
        }
        munmap(p, PAGES * 4096);
    }
    return sum;
}
