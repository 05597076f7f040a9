#include "shim/init/program_finder.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "shim/init/raw_open.h"

namespace berth::init {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// 0, or why `path` is no program: ENOENT, EACCES, EISDIR, ...
int CheckExecutable(const char* path) {
  struct stat info;
  if (::stat(path, &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (::faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0) return errno;
  // With CAP_DAC_OVERRIDE access says yes as long as any x is set; a file without one never runs.
  return (info.st_mode & 0111) == 0 ? EACCES : 0;
}

const char* Reason(int error) {
  switch (error) {
    case ENOENT:
      return "no such file or directory";
    case EACCES:
    case EPERM:
      return "permission denied";
    case EISDIR:
      return "permission denied";  // what callers look for, and what execve says
    case ENOTDIR:
      return "not a directory";
    default:
      return ::strerrordesc_np(error);
  }
}

const char* Hint(int error) {
  if (error == EACCES) {
    return ": its execute bit is not set for this user, or its filesystem is mounted noexec";
  }
  if (error == EISDIR) return ": it is a directory";
  return "";
}

bool Exists(const char* path) {
  return ::faccessat(AT_FDCWD, path, F_OK, 0) == 0 || errno != ENOENT;
}

// "#!": the interpreter is missing, or its name ends in a carriage return.
void ExplainScript(Reporter& report, const char* path, char* head, size_t size) {
  head[size] = '\0';
  char* name = head + 2;
  while (*name == ' ' || *name == '\t') ++name;
  char* end = name;
  while (*end != '\0' && *end != '\n' && *end != ' ' && *end != '\t') ++end;
  const bool carriage_return = end > name && end[-1] == '\r';
  if (carriage_return) end[-1] = '\0';
  *end = '\0';
  if (carriage_return) {
    report.FailFormat(
        ENOENT,
        "exec \"%s\": no such file or directory (ENOENT): the script's first line ends "
        "in a carriage return, so its interpreter would be \"%s\\r\"; save it with Unix "
        "line ends",
        path, name);
  }
  if (!Exists(name)) {
    report.FailFormat(ENOENT,
                      "exec \"%s\": no such file or directory (ENOENT): the file is there, but its "
                      "interpreter \"%s\" (first line, \"#!\") is not in the image",
                      path, name);
  }
}

// An ELF program names its loader in PT_INTERP.
template <typename Header, typename Segment>
void ExplainElf(Reporter& report, const char* path, int fd) {
  Header header;
  if (::pread(fd, &header, sizeof(header), 0) != sizeof(header)) return;
  for (int i = 0; i < header.e_phnum && i < 64; ++i) {
    Segment segment;
    const off_t at =
        static_cast<off_t>(header.e_phoff + static_cast<uint64_t>(i) * sizeof(segment));
    if (::pread(fd, &segment, sizeof(segment), at) != sizeof(segment)) return;
    if (segment.p_type != PT_INTERP) continue;
    char loader[256];
    const size_t want = segment.p_filesz < sizeof(loader) ? segment.p_filesz : sizeof(loader) - 1;
    const ssize_t got = ::pread(fd, loader, want, static_cast<off_t>(segment.p_offset));
    if (got <= 0) return;
    loader[got] = '\0';
    if (!Exists(loader)) {
      report.FailFormat(
          ENOENT,
          "exec \"%s\": no such file or directory (ENOENT): the file is there, but its "
          "ELF loader \"%s\" is not in the image; use a static program, or an image "
          "with the C library it was linked for",
          path, loader);
    }
    return;
  }
}

void ExplainContent(Reporter& report, const char* path) {
  const int fd = RawOpen(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  char head[257];
  const ssize_t size = ::pread(fd, head, sizeof(head) - 1, 0);
  if (size >= 2 && head[0] == '#' && head[1] == '!') {
    ExplainScript(report, path, head, static_cast<size_t>(size));
  } else if (size > EI_NIDENT && ::memcmp(head, ELFMAG, SELFMAG) == 0) {
    if (head[EI_CLASS] == ELFCLASS64) ExplainElf<Elf64_Ehdr, Elf64_Phdr>(report, path, fd);
    if (head[EI_CLASS] == ELFCLASS32) ExplainElf<Elf32_Ehdr, Elf32_Phdr>(report, path, fd);
  }
  ::close(fd);
}

}  // namespace

void FindProgram(Reporter& report, const char* program, const char* const* environment,
                 char (&path)[PATH_MAX]) {
  if (::strchr(program, '/') != nullptr) {
    if (::strlen(program) >= sizeof(path)) report.Fail(ENAMETOOLONG, "exec", program);
    ::snprintf(path, sizeof(path), "%s", program);
    if (const int error = CheckExecutable(path); error != 0) {
      report.FailFormat(error, "exec: \"%s\": stat %s: %s (%s)%s", path, path, Reason(error),
                        ::strerrorname_np(error), Hint(error));
    }
    return;
  }
  const char* search = kDefaultPath;
  for (const char* const* variable = environment; *variable != nullptr; ++variable) {
    if (::strncmp(*variable, "PATH=", 5) == 0) search = *variable + 5;
  }
  int denied = 0;
  for (const char* at = search; *at != '\0';) {
    const char* end = ::strchrnul(at, ':');
    // An empty entry is the working directory; Go and Docker no longer look there, nor do we.
    const int written =
        ::snprintf(path, sizeof(path), "%.*s/%s", static_cast<int>(end - at), at, program);
    if (end != at && written < static_cast<int>(sizeof(path))) {
      const int error = CheckExecutable(path);
      if (error == 0) return;
      if (error == EACCES) denied = error;
    }
    at = *end == ':' ? end + 1 : end;
  }
  if (denied != 0) {
    report.FailFormat(denied, "exec: \"%s\": permission denied (EACCES)%s", program, Hint(denied));
  }
  report.FailFormat(ENOENT,
                    "exec: \"%s\": executable file not found in $PATH (ENOENT): looked in %.600s",
                    program, search);
}

void ExplainExecFailure(Reporter& report, const char* path, int error_number) {
  if (error_number == ENOENT) ExplainContent(report, path);
  if (error_number == ENOEXEC) {
    report.FailFormat(
        ENOEXEC,
        "exec \"%s\": exec format error (ENOEXEC): neither a program for this machine "
        "nor a script with a \"#!\" line",
        path);
  }
  report.FailFormat(error_number, "exec \"%s\": %s (%s)%s", path, Reason(error_number),
                    ::strerrorname_np(error_number), Hint(error_number));
}

}  // namespace berth::init
