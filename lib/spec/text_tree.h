/// \file Protobuf text as a tree of located fields: syntax and field names checked against message
/// descriptors, all errors of a file in one run. Internal to lib/spec.
#pragma once

#include "lib/support/diagnostics.h"

#include <google/protobuf/descriptor.h>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::spec {

/// One field of a message. By its descriptor's type one of the values is set.
struct TextField {
  const google::protobuf::FieldDescriptor *field = nullptr;
  Location name;  ///< of the field's name
  Location value; ///< of its value, or of the '{'
  std::string text;
  uint64_t integer = 0; ///< whole numbers; bool as 0 and 1; enumerators by number
  double real = 0.0;
  std::vector<TextField> fields; ///< of a message

  const std::string &fieldName() const { return field->name(); }
};

/// Parses `text` as a message of type `root`. Supports what hierarchy files need of protobuf text:
/// strings, whole numbers, decimal fractions, bool, enumerators, messages in {} or <>, lists in [].
/// Reports everything wrong into `diags`; what is right is in the result. Singular fields occur at
/// most once in a message. Nests at most 40 deep. Any bytes are safe.
std::vector<TextField> parseTextTree(std::string_view text, const std::string &fileName,
                                     const google::protobuf::Descriptor &root, Diagnostics &diags);

} // namespace semdns::spec
