// What the metrics page says about the daemon's objects, beside its calls.
//
// Tasks are asked as the API's List asks them, with a deadline: a shim that does not answer costs
// the page its state, not the page. Thread-safe function.
#ifndef BERTH_SERVER_MAIN_METRICS_PAGE_H_
#define BERTH_SERVER_MAIN_METRICS_PAGE_H_

#include <string>

namespace berth {

class Exchange;
class Storage;
class TaskManager;

// Blocks, for a few seconds at most.
std::string ObjectMetrics(Storage& storage, TaskManager& tasks, const Exchange& exchange);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_METRICS_PAGE_H_
