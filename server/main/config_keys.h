// The one table of configuration keys: name, documentation, place in Config, check.
//
// Reading, printing and refusing all follow this table, so that a key cannot exist without its
// documentation. Immutable, thread-safe.
#ifndef BERTH_SERVER_MAIN_CONFIG_KEYS_H_
#define BERTH_SERVER_MAIN_CONFIG_KEYS_H_

#include <cstdint>
#include <map>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/main/config.h"

namespace berth {

// Where a key's value lives; the type decides what TOML may say. A map is a table of free keys,
// or of tables with free names.
using ConfigField =
    std::variant<std::string*, int64_t*, double*, absl::Duration*,
                 std::map<std::string, std::string>*, std::map<std::string, ProxyPlugin>*>;

struct ConfigKey {
  absl::string_view table;  // dotted; empty for the top level
  absl::string_view name;   // empty for a table of free keys
  // The table in which containerd has the same key; empty when it is the same table or none.
  absl::string_view containerd_table;
  absl::string_view documentation;  // lines, without the comment sign
  ConfigField (*field)(Config&);
  absl::Status (*check)(const Config&);  // null: every value of the type will do
};
absl::Span<const ConfigKey> ConfigKeys();

// A key or table of containerd's that Berth accepts and does nothing with.
struct IgnoredConfigKey {
  absl::string_view path;  // dotted
  absl::string_view reason;
};
absl::Span<const IgnoredConfigKey> IgnoredConfigKeys();

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_CONFIG_KEYS_H_
