// The parts of a specification that have parsers of their own; used by parse.cc only.
//
// Faults are recorded in the field's Decoder. Pure functions, thread-safe.
#ifndef BERTH_SHIM_SPEC_PARSE_PARTS_H_
#define BERTH_SHIM_SPEC_PARSE_PARTS_H_

#include <string>
#include <vector>

#include "shim/spec/field.h"
#include "shim/spec/launch_plan.h"

namespace berth::spec {

void ReadProcess(const Field& process, ProcessPlan& plan, std::vector<std::string>& warnings);
void ReadResources(const Field& resources, Resources& out);
void ReadMounts(const Field& mounts, LaunchPlan& plan);
void ReadLinux(const Field& section, LaunchPlan& plan);

std::vector<IdMapping> ReadIdMappings(const Field& mappings);

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_PARSE_PARTS_H_
