// bin2c NAME FILE: writes FILE as C source that defines
//     const unsigned char NAME[]; const unsigned NAME_size;
// so that boot code from roms/ is part of the library. Runs on the build machine.

#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bin2c NAME FILE\n");
        return 2;
    }
    FILE *in = fopen(argv[2], "rb");
    if (in == NULL) {
        fprintf(stderr, "bin2c: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    printf("// Generated from %s by tools/bin2c.c.\n", argv[2]);
    printf("extern const unsigned char %s[];\nextern const unsigned %s_size;\n", argv[1], argv[1]);
    printf("const unsigned char %s[] = {", argv[1]);
    unsigned long n = 0;
    int c;
    while ((c = getc(in)) != EOF) {
        printf("%s%d,", n++ % 20 == 0 ? "\n    " : "", c);
    }
    if (ferror(in) || n == 0) {
        fprintf(stderr, "bin2c: %s: %s\n", argv[2], n == 0 ? "empty" : "read error");
        return 1;
    }
    printf("\n};\nconst unsigned %s_size = %lu;\n", argv[1], n);
    fclose(in);
    return fflush(stdout) == 0 ? 0 : 1;
}
