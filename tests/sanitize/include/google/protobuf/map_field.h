// For programs under ThreadSanitizer: protobuf's map fields as Debian's library knows them.
//
// Where the compiler says that it instruments, protobuf's header gives map fields two members more,
// by which it would show races. Debian's library was compiled without them, and whoever used its
// messages would write beyond them. This header comes first in that build and hides the word.
#ifndef BERTH_TESTS_SANITIZE_INCLUDE_GOOGLE_PROTOBUF_MAP_FIELD_H_
#define BERTH_TESTS_SANITIZE_INCLUDE_GOOGLE_PROTOBUF_MAP_FIELD_H_

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include_next <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")

#endif  // BERTH_TESTS_SANITIZE_INCLUDE_GOOGLE_PROTOBUF_MAP_FIELD_H_
