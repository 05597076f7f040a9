// The release that this tree becomes. Immutable.
#ifndef BERTH_SERVER_MAIN_VERSION_H_
#define BERTH_SERVER_MAIN_VERSION_H_

namespace berth {

inline constexpr char kBerthVersion[] = "0.1.0";

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_VERSION_H_
