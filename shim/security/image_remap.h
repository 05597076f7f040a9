// Moves a running program onto another opening of its own file, without executing it again.
//
// The kernel names a process's program by mm->exe_file and lets a privileged process exchange it
// when no mapping of the old one is left (prctl(2), PR_SET_MM_EXE_FILE; "left" is by mount and
// file, so the same file behind another mount counts as another). A second execve would do the
// same for a third of what a short life costs.
// Thread-hostile: for the time before there is a second thread, and before constructors (nothing
// here allocates).
#ifndef BERTH_SHIM_SECURITY_IMAGE_REMAP_H_
#define BERTH_SHIM_SECURITY_IMAGE_REMAP_H_

namespace berth::security {

// Maps this program's segments from `image`, the same file opened for reading elsewhere; written
// ones become anonymous memory with what they hold. Then /proc/self/exe is `image`. Only for a
// statically linked program (another has more files mapped, and somebody else mapped them). False
// when the program is not such a one or the kernel refuses a step; the program runs on then, but
// may be mapped partly from `image`.
bool RemapOntoImage(int image);

}  // namespace berth::security

#endif  // BERTH_SHIM_SECURITY_IMAGE_REMAP_H_
