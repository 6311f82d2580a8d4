// The `zone` dialect: WHAT is routed. A tree of zones with their engines, keywords and classes, and
// the shape of the trained tables. docs/dialects.md has the rationale.

#ifndef SEMDNS_DIALECTS_ZONE_TD
#define SEMDNS_DIALECTS_ZONE_TD

include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"

def Zone_Dialect : Dialect {
  let name = "zone";
  let cppNamespace = "::semdns::zone";
  let summary = "A semantic hierarchy: zones, delegations, engines, acceptance";
}

def Zone_Tier : I32EnumAttr<"Tier", "how specialised an engine is", [
    I32EnumAttrCase<"Root", 0, "root">, I32EnumAttrCase<"Domain", 1, "domain">,
    I32EnumAttrCase<"Subdomain", 2, "subdomain">, I32EnumAttrCase<"Specialist", 3, "specialist">]> {
  let cppNamespace = "::semdns::zone";
}

class Zone_Op<string mnemonic, list<Trait> traits = []> : Op<Zone_Dialect, mnemonic, traits>;

def Zone_HierarchyOp : Zone_Op<"hierarchy", [
    IsolatedFromAbove, Symbol, SymbolTable, SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "one artifact's tree of zones";
  let description = [{
    Holds the engines, exactly one root zone (label "", index 0) and at most one each of
    `zone.features`, `zone.classifier` and `zone.acceptance`. `zones` is the number of zones of the
    artifact's ZTRE section: zone indices lie below it, and every zone keeps its index for life,
    so that what canonicalisation removes leaves no trace in answers.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$serial, I32Attr:$zone_count);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `serial` $serial `zones` $zone_count attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// The root zone; null in a module that does not verify.
    ZoneOp root();
  }];
}

def Zone_EngineOp : Zone_Op<"engine", [Symbol, HasParent<"HierarchyOp">]> {
  let summary = "an engine that zones can name";
  let description = [{
    `max_context` in tokens (0: not stated), `cost` in 1e-9 currency units per million tokens.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Zone_Tier:$tier, I64Attr:$max_context,
                       I64Attr:$cost, OptionalAttr<StrAttr>:$region);
  let assemblyFormat = [{
    $sym_name `tier` $tier `context` $max_context `cost` $cost (`region` $region^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Zone_ZoneOp : Zone_Op<"zone", [
    ParentOneOf<["HierarchyOp", "ZoneOp"]>, SingleBlock, NoTerminator, NoRegionArguments,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a zone: one answer that routing can give";
  let description = [{
    `label` is the name relative to the enclosing zone, leaf first, in DNS text form (`\.` and
    `\032` for what is not a-z, 0-9, '-' or non-ASCII UTF-8): one label, or several once a chain has
    been folded into one zone. `index` is the zone's number in ZTRE (preorder), `class`
    the class of texts that belong to this very zone, `ttl` in seconds, `engines` in order of
    preference with their `weights`. What confidence a zone needs is CLSF's: data that recalibration
    changes, and the program does not depend on it.
  }];
  let arguments = (ins StrAttr:$label, I32Attr:$index, OptionalAttr<I32Attr>:$class_id,
                       I32Attr:$ttl,
                       OptionalAttr<FlatSymbolRefArrayAttr>:$engines,
                       OptionalAttr<DenseI32ArrayAttr>:$weights);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $label `index` $index (`class` $class_id^)? `ttl` $ttl
    (`engines` $engines^ `weights` $weights)? attr-dict-with-keyword $body
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    bool isRoot() { return getLabel().empty(); }
    /// Keywords written into the zone itself or counted by its zone.terms.
    bool hasKeywords();
    size_t engineCount() { return getEngines() ? getEngines()->size() : 0; }
    /// The index as an unsigned number, as the format headers have it.
    uint32_t number() { return static_cast<uint32_t>(getIndex()); }
  }];
}

def Zone_KeywordOp : Zone_Op<"keyword", [HasParent<"ZoneOp">]> {
  let summary = "a term that votes for the enclosing zone";
  let arguments = (ins StrAttr:$text, I32Attr:$weight);
  let assemblyFormat = "$text `weight` $weight attr-dict";
  let hasVerifier = 1;
}

def Zone_TermsOp : Zone_Op<"terms", [HasParent<"ZoneOp">]> {
  let summary = "further terms of the enclosing zone, held by the KEYW table alone";
  let description = [{
    Mined terms come in tens of thousands. Tables never enter the IR; the compiler needs to know
    only that they are there.
  }];
  let arguments = (ins I32Attr:$count);
  let assemblyFormat = "$count attr-dict";
  let hasVerifier = 1;
}

def Zone_FeaturesOp : Zone_Op<"features", [HasParent<"HierarchyOp">]> {
  let summary = "which features a text has, and the shape of their table (TOKV)";
  let arguments = (ins I32Attr:$dim, I32Attr:$rows, I32Attr:$buckets, I32Attr:$word_ngram_max,
                       I32Attr:$char_ngram_min, I32Attr:$char_ngram_max, UnitAttr:$punct,
                       I32Attr:$unknown_norm);
  let assemblyFormat = [{
    `dim` $dim `rows` $rows `buckets` $buckets `word_ngrams` $word_ngram_max
    `char_ngrams` $char_ngram_min `to` $char_ngram_max (`punct` $punct^)?
    `unknown_norm` $unknown_norm attr-dict
  }];
  let hasVerifier = 1;
}

def Zone_ClassifierOp : Zone_Op<"classifier", [HasParent<"HierarchyOp">]> {
  let summary = "stage 2's classes: how many, in which layout (CENT), how sharp (CLSF)";
  let description = [{
    With `beam`, the classes are the leaves of a search tree (BEAM): `entries` class vectors in
    `nodes` nodes of at most `room`, on `levels` levels, of which `width` nodes are followed as long
    as they have 2^-`spread` of the best one's mass.
  }];
  let arguments = (ins I32Attr:$classes, I32Attr:$layout, I32Attr:$gain,
                       OptionalAttr<I32Attr>:$width, OptionalAttr<I32Attr>:$spread,
                       OptionalAttr<I32Attr>:$entries, OptionalAttr<I32Attr>:$nodes,
                       OptionalAttr<I32Attr>:$levels, OptionalAttr<I32Attr>:$room);
  let assemblyFormat = [{
    $classes `layout` $layout `gain` $gain
    (`beam` $width^ `spread` $spread `entries` $entries `nodes` $nodes `levels` $levels
     `room` $room)? attr-dict
  }];
  let hasVerifier = 1;
}

def Zone_AcceptanceOp : Zone_Op<"acceptance", [HasParent<"HierarchyOp">]> {
  let summary = "when stage 1 answers (KEYW)";
  let description = [{
    `terms` is the number of KEYW's term records. Without `votes` stage 1 never answers; with it,
    the winner needs that many votes and that Q16 share of all votes, and answers with that Q16
    confidence.
  }];
  let arguments = (ins I32Attr:$terms, OptionalAttr<I32Attr>:$votes, I32Attr:$purity,
                       I32Attr:$confidence);
  let assemblyFormat = [{
    `terms` $terms (`votes` $votes^)? `purity` $purity `confidence` $confidence attr-dict
  }];
  let hasVerifier = 1;
}

#endif // SEMDNS_DIALECTS_ZONE_TD
