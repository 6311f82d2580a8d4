// Prints the token ids of texts, for test/e2e/wordpiece_test.py: each line of stdin is a text as
// hex digits, each line of stdout its ids.
//   print_ids FOLDER                 with the tokeniser of an encoder's folder
//   print_ids --probe=FLAGS WORDS... with the probe (probe.h)
#include "lib/encoder/import.h"
#include "lib/encoder/tokeniser.h"
#include "test/unit/encoder_import/probe.h"

#include <cstdlib>
#include <iostream>

using namespace semdns;

int main(int argc, char **argv) {
  encoder::TokeniserSpec spec;
  const std::string first = argc > 1 ? argv[1] : "";
  if (first.starts_with("--probe=")) {
    spec = test::probeSpec(static_cast<uint32_t>(std::atoi(first.c_str() + 8)),
                           std::vector<std::string>(argv + 2, argv + argc));
  } else {
    Diagnostics diags;
    std::optional<encoder::Model> model = encoder::importEncoder(first, diags);
    diags.print(stderr);
    if (!model)
      return 1;
    spec = model->tokeniser;
  }
  const encoder::Tokeniser tokeniser(spec);
  std::ios::sync_with_stdio(false);
  std::string line, text, out;
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  while (std::getline(std::cin, line)) {
    text.clear();
    for (size_t i = 0; i + 1 < line.size(); i += 2)
      text += static_cast<char>(digit(line[i]) << 4 | digit(line[i + 1]));
    out.clear();
    for (uint32_t id : tokeniser.encode(text)) {
      out += std::to_string(id);
      out += ' ';
    }
    out += '\n';
    std::cout << out;
  }
}
