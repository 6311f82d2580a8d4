#include "lib/spec/load.h"
#include "lib/spec/overlap.h"
#include "lib/text/freeze.h"
#include "test/unit/spec/helpers.h"

using namespace semdns;

namespace {

TEST(KeywordOverlap, BothPlacesAreNamed) {
  Diagnostics diags;
  const auto input = spec::loadSpec(R"(name: "t"
zone { name: "legal." keyword: "NDA" keyword: "court"
  zone { name: "contracts.legal." keyword: "court order" keyword: "lease" } }
zone { name: "it." keyword: "nda" keyword: "reset my lease" }
)",
                                    "t.txtpb", diags);
  ASSERT_TRUE(input) << shown(diags);
  ASSERT_EQ(shown(diags), "");
  spec::warnAboutKeywordOverlaps(input->spec, input->tree, text::buildTextSection(), diags);
  EXPECT_EQ(shown(diags),
            "4:29: warning: keyword 'nda' of zone 'it.' is a keyword of zone 'legal.' too, at "
            "t.txtpb:2:32 | it votes for both; keep it where it belongs, or make it longer\n"
            "4:44: warning: keyword 'reset my lease' of zone 'it.' contains 'lease', a keyword of "
            "zone 'contracts.legal.' at t.txtpb:3:67 | each text with it votes for both zones; "
            "purity may then leave it to stage 2\n");
}

} // namespace
