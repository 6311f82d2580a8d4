#include "lib/spec/text_tree.h"

#include "lib/support/files.h"

#include <algorithm>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace semdns::spec {
namespace {

namespace pb = google::protobuf;
using pb::io::Tokenizer;

constexpr int kMaxNesting = 40; // 16 levels of zones, and room for a clear message on more

std::string withArticle(const pb::FieldDescriptor &field) {
  switch (field.cpp_type()) {
  case pb::FieldDescriptor::CPPTYPE_STRING:
    return "a string in quotes";
  case pb::FieldDescriptor::CPPTYPE_UINT32:
  case pb::FieldDescriptor::CPPTYPE_UINT64:
    return "a whole number";
  case pb::FieldDescriptor::CPPTYPE_DOUBLE:
    return "a number";
  case pb::FieldDescriptor::CPPTYPE_BOOL:
    return "true or false";
  case pb::FieldDescriptor::CPPTYPE_ENUM: {
    std::string all = "one of";
    for (int i = 0; i < field.enum_type()->value_count(); ++i)
      all += (i ? ", " : " ") + field.enum_type()->value(i)->name();
    return all;
  }
  default:
    return "a block in { }";
  }
}

class Parser : pb::io::ErrorCollector {
public:
  Parser(std::string_view text, const std::string &fileName, Diagnostics &diags)
      : text_(text), file_(fileName), diags_(diags), stream_(text.data(), int(text.size())),
        tokenizer_(&stream_, this) {
    tokenizer_.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
    tokenizer_.set_require_space_after_number(false);
    for (size_t at = 0; at != std::string_view::npos;) {
      lineStarts_.push_back(at);
      at = text_.find('\n', at);
      if (at != std::string_view::npos)
        ++at;
    }
    tokenizer_.Next();
  }

  std::vector<TextField> parse(const pb::Descriptor &root) {
    std::vector<TextField> fields;
    parseFields(root, nullptr, "", 0, fields);
    return fields;
  }

private:
  const Tokenizer::Token &token() { return tokenizer_.current(); }
  bool atEnd() { return token().type == Tokenizer::TYPE_END; }
  bool at(std::string_view symbol) {
    return token().type == Tokenizer::TYPE_SYMBOL && token().text == symbol;
  }
  bool accept(std::string_view symbol) {
    if (!at(symbol))
      return false;
    tokenizer_.Next();
    return true;
  }
  bool atOpening() { return at("{") || at("<") || at("["); }
  bool atClosing() { return at("}") || at(">") || at("]"); }

  /// The tokenizer counts tabs as up to 8 columns; locations count bytes.
  Location locate(int line, int column) const {
    Location where{file_, uint32_t(line) + 1, 1};
    if (size_t(line) >= lineStarts_.size())
      return where;
    size_t i = lineStarts_[size_t(line)];
    for (int seen = 0; seen < column && i < text_.size() && text_[i] != '\n'; ++i)
      seen += text_[i] == '\t' ? 8 - seen % 8 : 1;
    where.column = uint32_t(i - lineStarts_[size_t(line)]) + 1;
    return where;
  }
  Location here() { return locate(token().line, token().column); }

  void AddError(int line, pb::io::ColumnNumber column, const std::string &message) override {
    std::string text = message;
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z')
      text[0] = char(text[0] - 'A' + 'a');
    while (!text.empty() && text.back() == '.')
      text.pop_back();
    error(locate(std::max(line, 0), column), text);
  }

  void error(Location where, std::string message, std::string help = {}) {
    diags_.error(std::move(where), std::move(message), std::move(help));
  }

  /// Skips what follows a field name that is not understood: a scalar, list or block.
  void skipValue() {
    accept(":");
    if (atOpening())
      return skipBlock();
    accept("-");
    if (token().type == Tokenizer::TYPE_STRING) {
      while (token().type == Tokenizer::TYPE_STRING)
        tokenizer_.Next();
    } else if (token().type == Tokenizer::TYPE_IDENTIFIER ||
               token().type == Tokenizer::TYPE_INTEGER || token().type == Tokenizer::TYPE_FLOAT) {
      tokenizer_.Next();
    }
  }

  /// At an opening bracket: skips to behind the closing one of the same depth.
  void skipBlock() {
    size_t depth = 0;
    do {
      if (atOpening())
        ++depth;
      else if (atClosing())
        --depth;
      tokenizer_.Next();
    } while (depth > 0 && !atEnd());
  }

  std::string helpForUnknown(const pb::Descriptor &type, const std::string &name) {
    std::vector<std::string> fields;
    for (int i = 0; i < type.field_count(); ++i)
      fields.push_back(type.field(i)->name());
    if (std::string help = didYouMean(name, fields); !help.empty())
      return help;
    const pb::FileDescriptor *file = type.file();
    for (int i = 0; i < file->message_type_count(); ++i)
      if (const pb::Descriptor *other = file->message_type(i);
          other != &type && other->FindFieldByName(name)) {
        if (other->containing_type() == nullptr && i == 0)
          return "'" + name + "' belongs at the top of the file, outside all blocks";
        return "'" + name + "' belongs inside " + lower(other->name()) + " { }";
      }
    std::string help = "known here:";
    for (size_t i = 0; i < fields.size(); ++i)
      help += (i ? ", " : " ") + fields[i];
    return help;
  }

  static std::string lower(std::string text) {
    for (char &c : text)
      if (c >= 'A' && c <= 'Z')
        c = char(c - 'A' + 'a');
    return text;
  }

  /// Fields up to `close` (empty: end of file).
  void parseFields(const pb::Descriptor &type, const Location *opened, std::string_view close,
                   int depth, std::vector<TextField> &out) {
    std::vector<std::pair<const pb::FieldDescriptor *, Location>> seen;
    const std::string block = depth ? lower(type.name()) + " { }" : "a hierarchy";
    while (true) {
      if (atEnd()) {
        if (!close.empty())
          error(here(), "'" + std::string(close) + "' is missing at the end of the file",
                "the block opened at line " + std::to_string(opened->line) + ", column " +
                    std::to_string(opened->column) + " is not closed");
        return;
      }
      if (!close.empty() && accept(close))
        return;
      if (accept(",") || accept(";"))
        continue;
      if (token().type != Tokenizer::TYPE_IDENTIFIER) {
        recover(close);
        continue;
      }
      const Location nameAt = here();
      const std::string name = token().text;
      tokenizer_.Next();
      const pb::FieldDescriptor *field = type.FindFieldByName(name);
      if (!field) {
        error(nameAt, "unknown field '" + name + "' in " + block, helpForUnknown(type, name));
        skipValue();
        continue;
      }
      if (!field->is_repeated()) {
        auto first = std::find_if(seen.begin(), seen.end(),
                                  [&](const auto &each) { return each.first == field; });
        if (first != seen.end()) {
          error(nameAt, "'" + name + "' is given twice in " + block,
                "keep one; the first is at line " + std::to_string(first->second.line));
          skipValue();
          continue;
        }
        seen.emplace_back(field, nameAt);
      }
      parseField(*field, nameAt, depth, out);
    }
  }

  /// Something that is no field name: one error, then on to the next that may be one.
  void recover(std::string_view close) {
    const Location where = here();
    if (atClosing()) {
      error(where, "'" + token().text + "' closes nothing here",
            close.empty() ? "remove it, or look for a '{' that is missing above"
                          : "the open block ends with '" + std::string(close) + "'");
      tokenizer_.Next();
      return;
    }
    error(where, "expected a field name, found '" + shorten(token().text) + "'",
          "fields are written  name: value  or  name { ... }");
    while (!atEnd() && token().type != Tokenizer::TYPE_IDENTIFIER && !atClosing()) {
      if (atOpening())
        skipBlock();
      else
        tokenizer_.Next();
    }
  }

  static std::string shorten(std::string text) {
    if (text.size() > 40) {
      text.resize(40);
      while (firstInvalidUtf8(text))
        text.pop_back();
      text += "...";
    }
    return text;
  }

  void parseField(const pb::FieldDescriptor &field, const Location &nameAt, int depth,
                  std::vector<TextField> &out) {
    const bool message = field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    const bool colon = accept(":");
    if (field.is_repeated() && at("[")) {
      const Location open = here();
      tokenizer_.Next();
      while (!at("]")) {
        if (atEnd())
          return error(here(), "']' is missing at the end of the file",
                       "the list opened at line " + std::to_string(open.line) + " is not closed");
        const int line = token().line, column = token().column;
        parseValue(field, nameAt, message, depth, out);
        if (!accept(",") && !at("]")) {
          error(here(), "expected ',' or ']', found '" + shorten(token().text) + "'");
          // A token that no rule consumed would be met for ever.
          if (token().line == line && token().column == column && !atEnd())
            tokenizer_.Next();
          if (token().type == Tokenizer::TYPE_IDENTIFIER || atClosing()) {
            accept("]");
            return;
          }
        }
      }
      tokenizer_.Next();
      return;
    }
    if (!message && !colon && !atOpening())
      error(here(), "expected ':' after '" + field.name() + "'",
            "write " + field.name() + ": " + (isString(field) ? "\"...\"" : "..."));
    parseValue(field, nameAt, message, depth, out);
  }

  static bool isString(const pb::FieldDescriptor &field) {
    return field.cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING;
  }

  void parseValue(const pb::FieldDescriptor &field, const Location &nameAt, bool message, int depth,
                  std::vector<TextField> &out) {
    TextField value;
    value.field = &field;
    value.name = nameAt;
    value.value = here();
    if (message) {
      if (!at("{") && !at("<")) {
        error(value.value, "'" + field.name() + "' is a block",
              "write " + field.name() + " { ... }");
        return skipValue();
      }
      if (depth >= kMaxNesting) {
        error(value.value, "blocks are nested more than " + std::to_string(kMaxNesting) + " deep");
        return skipBlock();
      }
      const std::string_view close = at("{") ? "}" : ">";
      tokenizer_.Next();
      parseFields(*field.message_type(), &value.value, close, depth + 1, value.fields);
      out.push_back(std::move(value));
      return;
    }
    if (parseScalar(field, value))
      out.push_back(std::move(value));
  }

  void wrongType(const pb::FieldDescriptor &field, const Location &where) {
    error(where,
          "'" + field.name() + "' takes " + withArticle(field) +
              (atEnd() ? std::string(", found the end of the file")
                       : ", found '" + shorten(token().text) + "'"),
          isString(field) && token().type == Tokenizer::TYPE_IDENTIFIER
              ? "write " + field.name() + ": \"" + token().text + "\""
              : "");
    if (atClosing())
      return;
    const int line = token().line;
    int end = token().end_column;
    skipValue();
    // What is written without a space between belongs together: contracts.legal. is one mistake.
    while (!atEnd() && token().line == line && token().column == end && !atOpening() &&
           !atClosing() && !at(",") && !at(";")) {
      end = token().end_column;
      tokenizer_.Next();
    }
  }

  /// "1h": a number with something behind it that no field name can be.
  bool hasSuffix(const pb::FieldDescriptor &field, const Location &where,
                 const Tokenizer::Token &number) {
    if (token().type != Tokenizer::TYPE_IDENTIFIER || token().line != number.line ||
        token().column != number.end_column)
      return false;
    error(where,
          "'" + field.name() + "' takes " + withArticle(field) + ", found '" +
              shorten(number.text + token().text) + "'",
          "write the number alone, without a unit");
    tokenizer_.Next();
    return true;
  }

  bool parseScalar(const pb::FieldDescriptor &field, TextField &value) {
    const Location where = here();
    switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      if (token().type != Tokenizer::TYPE_STRING) {
        wrongType(field, where);
        return false;
      }
      while (token().type == Tokenizer::TYPE_STRING) {
        Tokenizer::ParseStringAppend(token().text, &value.text);
        tokenizer_.Next();
      }
      if (auto bad = firstInvalidUtf8(value.text)) {
        error(where,
              "'" + field.name() + "' is not valid UTF-8 at byte " + std::to_string(*bad + 1),
              "escapes in a string must give UTF-8");
        return false;
      }
      return true;
    }
    case pb::FieldDescriptor::CPPTYPE_UINT32:
    case pb::FieldDescriptor::CPPTYPE_UINT64: {
      const bool narrow = field.cpp_type() == pb::FieldDescriptor::CPPTYPE_UINT32;
      if (at("-")) {
        error(where, "'" + field.name() + "' is negative", "write a whole number from 0");
        skipValue();
        return false;
      }
      if (token().type != Tokenizer::TYPE_INTEGER) {
        wrongType(field, where);
        return false;
      }
      const uint64_t limit = narrow ? UINT32_MAX : UINT64_MAX;
      const bool fits = Tokenizer::ParseInteger(token().text, limit, &value.integer);
      if (!fits)
        error(where, "'" + field.name() + "' is out of range: " + shorten(token().text),
              "at most " + std::to_string(limit));
      const Tokenizer::Token number = token();
      tokenizer_.Next();
      return !hasSuffix(field, where, number) && fits;
    }
    case pb::FieldDescriptor::CPPTYPE_DOUBLE: {
      const bool negative = accept("-");
      if (token().type == Tokenizer::TYPE_FLOAT) {
        value.real = Tokenizer::ParseFloat(token().text);
      } else if (uint64_t whole = 0; token().type == Tokenizer::TYPE_INTEGER &&
                                     Tokenizer::ParseInteger(token().text, UINT64_MAX, &whole)) {
        value.real = double(whole);
      } else {
        wrongType(field, where);
        return false;
      }
      if (negative)
        value.real = -value.real;
      const Tokenizer::Token number = token();
      tokenizer_.Next();
      return !hasSuffix(field, where, number);
    }
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      if (token().text == "true" || token().text == "1")
        value.integer = 1;
      else if (token().text != "false" && token().text != "0") {
        wrongType(field, where);
        return false;
      }
      tokenizer_.Next();
      return true;
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const pb::EnumValueDescriptor *found = field.enum_type()->FindValueByName(token().text);
      if (!found) {
        wrongType(field, where);
        return false;
      }
      value.integer = uint64_t(found->number());
      tokenizer_.Next();
      return true;
    }
    default:
      wrongType(field, where);
      return false;
    }
  }

  std::string_view text_;
  std::string file_;
  Diagnostics &diags_;
  pb::io::ArrayInputStream stream_;
  Tokenizer tokenizer_;
  std::vector<size_t> lineStarts_;
};

} // namespace

std::vector<TextField> parseTextTree(std::string_view text, const std::string &fileName,
                                     const pb::Descriptor &root, Diagnostics &diags) {
  return Parser(text, fileName, diags).parse(root);
}

} // namespace semdns::spec
