/*
 * stamp [-t SECONDS] [-u TEXT] [-p] COMMAND...: runs a command and stamps the lines it prints.
 *
 * Each line of the command's standard output is printed after two times in seconds since the start:
 * by the host's clock, and the processor time that the command's process has used (all its threads,
 * not its children). At its end comes a line "exit STATUS KIB" with the processor time of the
 * command and of the children that it waited for, and the most memory it had resident. Standard
 * input is empty.
 *
 *   -t  ends the command after so many seconds (default 600)
 *   -u  ends the command when a line has TEXT in it
 *   -p  runs the command on the one processor that it was started on: as a machine with one vCPU
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock)
{
    struct timespec t = {0, 0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double rusage_seconds(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

/* What the child does: COMMAND with its output in the pipe OUT, at most LIMIT seconds. */
static void child(char **command, int out, unsigned limit, int pinned)
{
    if (pinned) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)sched_getcpu(), &set);
        sched_setaffinity(0, sizeof(set), &set);
    }
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    close(nothing);
    close(out);
    alarm(limit); /* stays over exec */
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

int main(int argc, char **argv)
{
    unsigned limit = 600;
    const char *until = NULL;
    int pinned = 0;
    for (int opt; (opt = getopt(argc, argv, "+t:u:p")) != -1;) {
        switch (opt) {
        case 't':
            limit = (unsigned)atoi(optarg);
            break;
        case 'u':
            until = optarg;
            break;
        case 'p':
            pinned = 1;
            break;
        default:
            return 2;
        }
    }
    int pipes[2];
    if (optind >= argc || pipe2(pipes, O_CLOEXEC) != 0) {
        fprintf(stderr, "usage: stamp [-t SECONDS] [-u TEXT] [-p] COMMAND...\n");
        return 2;
    }
    double start = seconds(CLOCK_MONOTONIC);
    pid_t pid = fork();
    if (pid == 0) {
        child(argv + optind, pipes[1], limit, pinned);
    }
    close(pipes[1]);
    clockid_t clock;
    if (pid < 0 || clock_getcpuclockid(pid, &clock) != 0) {
        perror("stamp");
        return 1;
    }
    FILE *from = fdopen(pipes[0], "r");
    char *line = NULL;
    size_t size = 0;
    for (ssize_t n; from && (n = getline(&line, &size, from)) >= 0;) {
        line[strcspn(line, "\r\n")] = 0;
        printf("%.6f %.6f %s\n", seconds(CLOCK_MONOTONIC) - start, seconds(clock), line);
        fflush(stdout);
        if (until && strstr(line, until)) {
            kill(pid, SIGKILL);
        }
    }
    int status = 0;
    struct rusage usage;
    if (wait4(pid, &status, 0, &usage) == pid) {
        printf("%.6f %.6f exit %d %ld\n", seconds(CLOCK_MONOTONIC) - start, rusage_seconds(&usage),
               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), usage.ru_maxrss);
    }
    free(line);
    return 0;
}
