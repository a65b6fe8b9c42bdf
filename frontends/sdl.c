/*
 * Windows for machines: frames out, keys and mouse in.
 *
 * Each machine runs on its own thread; this one, the process's first, waits for the events of all
 * windows. A machine tells of each new frame by an event, so a still screen costs nothing here
 * either. A frame is asked for at most every FRAME_MS.
 *
 * Ctrl-Alt-G captures and releases the mouse (a click captures it too), Ctrl-Alt-F is full screen,
 * Ctrl-Alt-U gives the window the frame's size. Closing the window ends the machine.
 */
#include "frontends/sdl.h"

#include "config.h"

#if HAVE_SDL2

#define SDL_MAIN_HANDLED
#include <SDL.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

#define FRAME_MS 16u
#define TITLE_MS 1000u

enum { EVENT_FRAME, EVENT_ENDED }; /* codes of our user event */

struct window {
    struct session *s;
    SDL_Window *win;
    SDL_Renderer *ren;
    SDL_Texture *tex;
    SDL_Thread *thread;
    uint32_t event; /* our user event's type; its data1 is the window */
    uint32_t width, height;
    uint64_t serial; /* of the frame that is shown */
    uint32_t asked;  /* SDL_GetTicks() of the last request */
    bool want;       /* a frame came: ask for the next one when it is time */
    bool captured, full, ended;
    bool held[SDL_NUM_SCANCODES];
    unsigned buttons;
    uint32_t told; /* when the title was last set */
    uint64_t icount, vtime;
};

struct sdl {
    struct window *w;
    unsigned n, left; /* left: that have not ended */
};

// clang-format off
static const struct {
    SDL_Scancode scancode;
    const char *name;
} keys[] = {
    {SDL_SCANCODE_A, "a"}, {SDL_SCANCODE_B, "b"}, {SDL_SCANCODE_C, "c"}, {SDL_SCANCODE_D, "d"},
    {SDL_SCANCODE_E, "e"}, {SDL_SCANCODE_F, "f"}, {SDL_SCANCODE_G, "g"}, {SDL_SCANCODE_H, "h"},
    {SDL_SCANCODE_I, "i"}, {SDL_SCANCODE_J, "j"}, {SDL_SCANCODE_K, "k"}, {SDL_SCANCODE_L, "l"},
    {SDL_SCANCODE_M, "m"}, {SDL_SCANCODE_N, "n"}, {SDL_SCANCODE_O, "o"}, {SDL_SCANCODE_P, "p"},
    {SDL_SCANCODE_Q, "q"}, {SDL_SCANCODE_R, "r"}, {SDL_SCANCODE_S, "s"}, {SDL_SCANCODE_T, "t"},
    {SDL_SCANCODE_U, "u"}, {SDL_SCANCODE_V, "v"}, {SDL_SCANCODE_W, "w"}, {SDL_SCANCODE_X, "x"},
    {SDL_SCANCODE_Y, "y"}, {SDL_SCANCODE_Z, "z"}, {SDL_SCANCODE_1, "1"}, {SDL_SCANCODE_2, "2"},
    {SDL_SCANCODE_3, "3"}, {SDL_SCANCODE_4, "4"}, {SDL_SCANCODE_5, "5"}, {SDL_SCANCODE_6, "6"},
    {SDL_SCANCODE_7, "7"}, {SDL_SCANCODE_8, "8"}, {SDL_SCANCODE_9, "9"}, {SDL_SCANCODE_0, "0"},
    {SDL_SCANCODE_RETURN, "ret"}, {SDL_SCANCODE_ESCAPE, "esc"},
    {SDL_SCANCODE_BACKSPACE, "backspace"}, {SDL_SCANCODE_TAB, "tab"}, {SDL_SCANCODE_SPACE, "spc"},
    {SDL_SCANCODE_MINUS, "minus"}, {SDL_SCANCODE_EQUALS, "equal"},
    {SDL_SCANCODE_LEFTBRACKET, "bracket_left"}, {SDL_SCANCODE_RIGHTBRACKET, "bracket_right"},
    {SDL_SCANCODE_BACKSLASH, "backslash"}, {SDL_SCANCODE_NONUSHASH, "backslash"},
    {SDL_SCANCODE_SEMICOLON, "semicolon"}, {SDL_SCANCODE_APOSTROPHE, "apostrophe"},
    {SDL_SCANCODE_GRAVE, "grave_accent"}, {SDL_SCANCODE_COMMA, "comma"},
    {SDL_SCANCODE_PERIOD, "dot"}, {SDL_SCANCODE_SLASH, "slash"},
    {SDL_SCANCODE_CAPSLOCK, "caps_lock"}, {SDL_SCANCODE_F1, "f1"}, {SDL_SCANCODE_F2, "f2"},
    {SDL_SCANCODE_F3, "f3"}, {SDL_SCANCODE_F4, "f4"}, {SDL_SCANCODE_F5, "f5"},
    {SDL_SCANCODE_F6, "f6"}, {SDL_SCANCODE_F7, "f7"}, {SDL_SCANCODE_F8, "f8"},
    {SDL_SCANCODE_F9, "f9"}, {SDL_SCANCODE_F10, "f10"}, {SDL_SCANCODE_F11, "f11"},
    {SDL_SCANCODE_F12, "f12"}, {SDL_SCANCODE_PRINTSCREEN, "print"},
    {SDL_SCANCODE_SCROLLLOCK, "scroll_lock"}, {SDL_SCANCODE_PAUSE, "pause"},
    {SDL_SCANCODE_INSERT, "insert"}, {SDL_SCANCODE_HOME, "home"}, {SDL_SCANCODE_PAGEUP, "pgup"},
    {SDL_SCANCODE_DELETE, "delete"}, {SDL_SCANCODE_END, "end"}, {SDL_SCANCODE_PAGEDOWN, "pgdn"},
    {SDL_SCANCODE_RIGHT, "right"}, {SDL_SCANCODE_LEFT, "left"}, {SDL_SCANCODE_DOWN, "down"},
    {SDL_SCANCODE_UP, "up"}, {SDL_SCANCODE_NUMLOCKCLEAR, "num_lock"},
    {SDL_SCANCODE_KP_DIVIDE, "kp_divide"}, {SDL_SCANCODE_KP_MULTIPLY, "kp_multiply"},
    {SDL_SCANCODE_KP_MINUS, "kp_subtract"}, {SDL_SCANCODE_KP_PLUS, "kp_add"},
    {SDL_SCANCODE_KP_ENTER, "kp_enter"}, {SDL_SCANCODE_KP_1, "kp_1"}, {SDL_SCANCODE_KP_2, "kp_2"},
    {SDL_SCANCODE_KP_3, "kp_3"}, {SDL_SCANCODE_KP_4, "kp_4"}, {SDL_SCANCODE_KP_5, "kp_5"},
    {SDL_SCANCODE_KP_6, "kp_6"}, {SDL_SCANCODE_KP_7, "kp_7"}, {SDL_SCANCODE_KP_8, "kp_8"},
    {SDL_SCANCODE_KP_9, "kp_9"}, {SDL_SCANCODE_KP_0, "kp_0"},
    {SDL_SCANCODE_KP_PERIOD, "kp_decimal"}, {SDL_SCANCODE_KP_EQUALS, "kp_equals"},
    {SDL_SCANCODE_NONUSBACKSLASH, "less"}, {SDL_SCANCODE_APPLICATION, "menu"},
    {SDL_SCANCODE_LCTRL, "ctrl"}, {SDL_SCANCODE_LSHIFT, "shift"}, {SDL_SCANCODE_LALT, "alt"},
    {SDL_SCANCODE_LGUI, "meta_l"}, {SDL_SCANCODE_RCTRL, "ctrl_r"},
    {SDL_SCANCODE_RSHIFT, "shift_r"}, {SDL_SCANCODE_RALT, "alt_r"}, {SDL_SCANCODE_RGUI, "meta_r"},
};
// clang-format on

/* --- The machine's thread --- */

static void push(struct window *w, int code)
{
    SDL_Event ev = {.user = {.type = w->event, .code = code, .data1 = w}};
    SDL_PushEvent(&ev);
}

static void frame_ready(void *ctx)
{
    push(ctx, EVENT_FRAME);
}

static int run_machine(void *ctx)
{
    struct window *w = ctx;
    session_play(w->s);
    push(w, EVENT_ENDED);
    return 0;
}

/* --- Output --- */

static void set_title(struct window *w)
{
    char title[200];
    uint64_t icount, vtime;
    uint32_t now = SDL_GetTicks(), ms = now - w->told;
    if (w->told && ms < TITLE_MS) {
        return;
    }
    ms += ms == 0;
    doppel_progress(w->s->vm, &icount, &vtime);
    snprintf(title, sizeof title, "%.80s - %u MIPS, %u %% of real time%s", w->s->o.vm.name,
             (unsigned)((icount - w->icount) / 1000 / ms),
             (unsigned)((vtime - w->vtime) / 10000 / ms),
             w->captured ? " - Ctrl-Alt-G releases the mouse" : "");
    SDL_SetWindowTitle(w->win, title);
    w->icount = icount;
    w->vtime = vtime;
    w->told = now;
}

/* A frame of another size: a new texture, and the window follows unless it fills the screen. */
static void resize(struct window *w, uint32_t width, uint32_t height)
{
    if (w->tex) {
        SDL_DestroyTexture(w->tex);
    }
    w->tex = SDL_CreateTexture(w->ren, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                               (int)width, (int)height);
    w->width = width;
    w->height = height;
    SDL_RenderSetLogicalSize(w->ren, (int)width, (int)height);
    if (!w->full) {
        SDL_SetWindowSize(w->win, (int)width, (int)height);
    }
}

static void paint(struct window *w)
{
    SDL_RenderClear(w->ren);
    if (w->tex) {
        SDL_RenderCopy(w->ren, w->tex, NULL, NULL);
    }
    SDL_RenderPresent(w->ren);
}

static void take_frame(struct window *w)
{
    struct doppel_frame f;
    if (!doppel_frame_get(w->s->vm, w->serial, &f)) {
        return;
    }
    w->serial = f.serial;
    w->want = true;
    if (f.width && f.height) {
        if (f.width != w->width || f.height != w->height) {
            resize(w, f.width, f.height);
        }
        if (w->tex) {
            SDL_UpdateTexture(w->tex, NULL, f.pixel, (int)(f.width * 4));
        }
        paint(w);
    }
    doppel_frame_release(w->s->vm, &f);
}

/* --- Input --- */

static void key(struct window *w, SDL_Scancode code, bool down)
{
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i].scancode == code && w->held[code] != down) {
            w->held[code] = down;
            doppel_key_event(w->s->vm, doppel_key_code(keys[i].name), down);
            return;
        }
    }
}

static void release_keys(struct window *w)
{
    for (unsigned i = 0; i < SDL_NUM_SCANCODES; i++) {
        if (w->held[i]) {
            key(w, (SDL_Scancode)i, false);
        }
    }
}

static void capture(struct window *w, bool on)
{
    w->captured = on;
    SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
    SDL_SetWindowKeyboardGrab(w->win, on ? SDL_TRUE : SDL_FALSE);
    if (!on && w->buttons) {
        w->buttons = 0;
        doppel_mouse_event(w->s->vm, 0, 0, 0, 0);
    }
    w->told = 0;
}

/* Ctrl-Alt and a key of ours. */
static bool hot_key(struct window *w, const SDL_KeyboardEvent *ev)
{
    if (!(ev->keysym.mod & KMOD_CTRL) || !(ev->keysym.mod & KMOD_ALT)) {
        return false;
    }
    switch (ev->keysym.scancode) {
    case SDL_SCANCODE_G:
        capture(w, !w->captured);
        return true;
    case SDL_SCANCODE_F:
        w->full = !w->full;
        SDL_SetWindowFullscreen(w->win, w->full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
        return true;
    case SDL_SCANCODE_U:
        if (!w->full && w->width) {
            SDL_SetWindowSize(w->win, (int)w->width, (int)w->height);
        }
        return true;
    default:
        return false;
    }
}

static void button(struct window *w, const SDL_MouseButtonEvent *ev)
{
    static const unsigned bit[] = {[SDL_BUTTON_LEFT] = 1,
                                   [SDL_BUTTON_MIDDLE] = 4,
                                   [SDL_BUTTON_RIGHT] = 2,
                                   [SDL_BUTTON_X1] = 8,
                                   [SDL_BUTTON_X2] = 16};
    if (!w->captured) {
        if (ev->type == SDL_MOUSEBUTTONDOWN) {
            capture(w, true);
        }
        return;
    }
    unsigned b = ev->button < ARRAY_LEN(bit) ? bit[ev->button] : 0;
    w->buttons = ev->type == SDL_MOUSEBUTTONDOWN ? w->buttons | b : w->buttons & ~b;
    doppel_mouse_event(w->s->vm, 0, 0, 0, w->buttons);
}

static void stop(struct window *w)
{
    w->s->closed = true;
    session_stop(w->s, 0);
}

static void window_event(struct window *w, const SDL_WindowEvent *ev)
{
    if (ev->event == SDL_WINDOWEVENT_FOCUS_LOST) {
        release_keys(w); /* their release goes elsewhere */
        if (w->captured) {
            capture(w, false);
        }
    } else if (ev->event == SDL_WINDOWEVENT_CLOSE) {
        stop(w);
    } else if (ev->event == SDL_WINDOWEVENT_EXPOSED || ev->event == SDL_WINDOWEVENT_SIZE_CHANGED) {
        paint(w);
    }
}

static void handle(struct window *w, const SDL_Event *ev)
{
    switch (ev->type) {
    case SDL_WINDOWEVENT:
        window_event(w, &ev->window);
        break;
    case SDL_KEYDOWN:
        if (!ev->key.repeat && !hot_key(w, &ev->key)) {
            key(w, ev->key.keysym.scancode, true);
        }
        break;
    case SDL_KEYUP:
        key(w, ev->key.keysym.scancode, false);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        button(w, &ev->button);
        break;
    case SDL_MOUSEMOTION:
        if (w->captured) {
            doppel_mouse_event(w->s->vm, ev->motion.xrel, ev->motion.yrel, 0, w->buttons);
        }
        break;
    case SDL_MOUSEWHEEL:
        if (w->captured) {
            doppel_mouse_event(w->s->vm, 0, 0, -ev->wheel.y, w->buttons);
        }
        break;
    default:
        if (ev->type == w->event) {
            w->ended |= ev->user.code == EVENT_ENDED;
            take_frame(w);
        }
        break;
    }
}

/* The window that an event is for; NULL: none that is open. */
static struct window *window_of(struct sdl *sdl, const SDL_Event *ev)
{
    uint32_t id = ev->type == SDL_WINDOWEVENT                        ? ev->window.windowID
                  : ev->type == SDL_KEYDOWN || ev->type == SDL_KEYUP ? ev->key.windowID
                  : ev->type == SDL_MOUSEMOTION                      ? ev->motion.windowID
                  : ev->type == SDL_MOUSEWHEEL                       ? ev->wheel.windowID
                  : ev->type == SDL_MOUSEBUTTONDOWN || ev->type == SDL_MOUSEBUTTONUP
                      ? ev->button.windowID
                      : 0;
    for (unsigned i = 0; i < sdl->n; i++) {
        struct window *w = &sdl->w[i];
        bool mine =
            ev->type == w->event ? ev->user.data1 == w : id && SDL_GetWindowID(w->win) == id;
        if (w->win && mine) {
            return w;
        }
    }
    return NULL;
}

/* --- Life --- */

static bool open_video(void)
{
    SDL_SetMainReady();
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        return false;
    }
    /* Where there is no display SDL falls back to drivers that show nothing. */
    const char *driver = SDL_GetCurrentVideoDriver();
    if (!getenv("SDL_VIDEODRIVER") && driver &&
        (strcmp(driver, "offscreen") == 0 || strcmp(driver, "dummy") == 0 ||
         strcmp(driver, "evdev") == 0)) {
        SDL_SetError("no X11 or Wayland display to open a window on");
        return false;
    }
    return true;
}

static bool open_window(struct window *w, uint32_t event)
{
    const struct options *o = &w->s->o;
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, o->sdl_integer ? "nearest" : "linear");
    w->event = event;
    w->want = true;
    w->full = o->sdl_full;
    w->win =
        SDL_CreateWindow(o->vm.name, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720, 400,
                         SDL_WINDOW_RESIZABLE | (w->full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0u));
    w->ren = w->win ? SDL_CreateRenderer(w->win, -1, 0) : NULL;
    if (w->ren) {
        SDL_RenderSetIntegerScale(w->ren, o->sdl_integer ? SDL_TRUE : SDL_FALSE);
        paint(w);
    }
    return w->ren != NULL;
}

static void close_window(struct window *w)
{
    if (w->tex) {
        SDL_DestroyTexture(w->tex);
    }
    if (w->ren) {
        SDL_DestroyRenderer(w->ren);
    }
    if (w->win) {
        SDL_DestroyWindow(w->win);
    }
    w->tex = NULL;
    w->ren = NULL;
    w->win = NULL;
}

static void close_all(struct sdl *sdl)
{
    for (unsigned i = 0; i < sdl->n; i++) {
        close_window(&sdl->w[i]);
    }
    SDL_Quit();
    free(sdl->w);
    free(sdl);
}

struct sdl *sdl_open(struct session *const *s, unsigned n)
{
    struct sdl *sdl = calloc(1, sizeof *sdl);
    struct window *w = calloc(n, sizeof *w);
    if (!sdl || !w) {
        abort();
    }
    *sdl = (struct sdl){.w = w, .n = n, .left = n};
    bool ok = open_video();
    uint32_t event = ok ? SDL_RegisterEvents(1) : 0;
    for (unsigned i = 0; ok && i < n; i++) {
        w[i].s = s[i];
        ok = open_window(&w[i], event);
    }
    if (!ok) {
        struct err e = {""};
        err_set(&e, "-display sdl: %s", SDL_GetError());
        complain(n == 1 ? s[0]->title : NULL, EXIT_SETUP, e.msg);
        close_all(sdl);
        return NULL;
    }
    return sdl;
}

static void end(struct sdl *sdl, struct window *w)
{
    SDL_WaitThread(w->thread, NULL);
    close_window(w);
    session_end(w->s);
    sdl->left--;
}

/* Ask for the frames that are due; ms until the next one is. */
static int ask_frames(struct sdl *sdl)
{
    uint32_t now = SDL_GetTicks(), wait = 200;
    for (unsigned i = 0; i < sdl->n; i++) {
        struct window *w = &sdl->w[i];
        if (!w->win || !w->want) {
            continue;
        }
        uint32_t since = now - w->asked;
        if (since >= FRAME_MS) {
            w->want = false;
            w->asked = now;
            doppel_frame_request(w->s->vm);
        } else if (FRAME_MS - since < wait) {
            wait = FRAME_MS - since;
        }
    }
    return (int)wait;
}

/* The desktop wants us to go. */
static void stop_all(struct sdl *sdl)
{
    for (unsigned i = 0; i < sdl->n; i++) {
        if (sdl->w[i].win) {
            stop(&sdl->w[i]);
        }
    }
}

static void events(struct sdl *sdl, int wait, void (*ended)(void *ctx), void *ctx)
{
    SDL_Event ev;
    if (!SDL_WaitEventTimeout(&ev, wait)) {
        return;
    }
    do {
        struct window *w = window_of(sdl, &ev);
        if (ev.type == SDL_QUIT) {
            stop_all(sdl);
        } else if (w) {
            handle(w, &ev);
            if (w->ended) {
                end(sdl, w);
                if (ended) {
                    ended(ctx);
                }
            }
        }
    } while (sdl->left && SDL_PollEvent(&ev));
}

void sdl_play(struct sdl *sdl, void (*ended)(void *ctx), void *ctx)
{
    for (unsigned i = 0; i < sdl->n; i++) {
        struct window *w = &sdl->w[i];
        doppel_set_live(w->s->vm, true);
        doppel_frame_listen(w->s->vm, frame_ready, w);
        w->thread = SDL_CreateThread(run_machine, "machine", w);
        if (!w->thread) {
            abort();
        }
    }
    while (sdl->left) {
        events(sdl, ask_frames(sdl), ended, ctx);
        for (unsigned i = 0; i < sdl->n; i++) {
            if (sdl->w[i].win) {
                set_title(&sdl->w[i]);
            }
        }
    }
    close_all(sdl);
}

#else

struct sdl *sdl_open(struct session *const *s, unsigned n)
{
    complain(n == 1 ? s[0]->title : NULL, EXIT_SETUP, "-display sdl: built without SDL2");
    return NULL;
}

void sdl_play(struct sdl *sdl, void (*ended)(void *ctx), void *ctx)
{
    (void)sdl;
    (void)ended;
    (void)ctx;
}

#endif

void sdl_run(struct session *s)
{
    struct sdl *sdl = sdl_open(&s, 1);
    if (sdl) {
        sdl_play(sdl, NULL, NULL);
    } else {
        s->status = EXIT_SETUP;
        session_end(s);
    }
}
