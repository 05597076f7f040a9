// The configuration as a TOML file with a comment on every key: `berthd config default` and `dump`.
//
// Invariant: ParseConfig(ConfigText(c)) gives c back. Thread-safe function.
#ifndef BERTH_SERVER_MAIN_CONFIG_TEXT_H_
#define BERTH_SERVER_MAIN_CONFIG_TEXT_H_

#include <string>

#include "server/main/config.h"

namespace berth {

std::string ConfigText(Config config);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_CONFIG_TEXT_H_
