// What the calling process may do on this host: the difference between a container of root's and a
// rootless one.
//
// Immutable, thread-safe.
#ifndef BERTH_SHIM_LAUNCH_AUTHORITY_H_
#define BERTH_SHIM_LAUNCH_AUTHORITY_H_

namespace berth::launch {

enum class Authority {
  kHost,           // root of the first user namespace
  kUserNamespace,  // root of another one: what podman makes for an ordinary user
  kNone,           // root of none: every container needs a user namespace of its own
};

Authority OwnAuthority();

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_AUTHORITY_H_
