// Labels by which docker's verbs keep on a container's record what containerd's API has no field
// for. Other clients see them as ordinary labels.
#ifndef BERTH_CLIENT_COMMANDS_RECORD_LABELS_H_
#define BERTH_CLIENT_COMMANDS_RECORD_LABELS_H_

namespace berth::client {

inline constexpr char kNameLabel[] = "berth.io/name";
inline constexpr char kLogLabel[] = "berth.io/log";  // a path of the host
inline constexpr char kStopSignalLabel[] = "berth.io/stop-signal";
inline constexpr char kStartedAtLabel[] = "berth.io/started-at";    // RFC 3339
inline constexpr char kExitStatusLabel[] = "berth.io/exit-status";  // once the task is gone
inline constexpr char kExitedAtLabel[] = "berth.io/exited-at";

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_RECORD_LABELS_H_
