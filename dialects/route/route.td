// The `route` dialect: HOW a text is routed. One program per artifact: the stages in order, each a
// data flow from words or features to an answer, and the one low-level operation that every
// instruction set does in its own way (dot4). docs/architecture.md, "Arithmetic", defines what each
// operation computes; docs/dialects.md has the rationale.

#ifndef SEMDNS_DIALECTS_ROUTE_TD
#define SEMDNS_DIALECTS_ROUTE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Route_Dialect : Dialect {
  let name = "route";
  let cppNamespace = "::semdns::route";
  let summary = "The routing program of one artifact";
  let useDefaultTypePrinterParser = 1;
}

def Route_StageKind : I32EnumAttr<"StageKind", "a stage; values as in semdns/kernel.h", [
    I32EnumAttrCase<"Keyword", 1, "keyword">, I32EnumAttrCase<"Embedding", 2, "embedding">]> {
  let cppNamespace = "::semdns::route";
}

//===------------------------------------------------------------------------------------------===//
// Types: what flows between operations. Parameters are shapes, so that operations that do not fit
// together do not verify.
//===------------------------------------------------------------------------------------------===//

class Route_Type<string name, string typeMnemonic, string what> : TypeDef<Route_Dialect, name> {
  let mnemonic = typeMnemonic;
  let summary = what;
}
class Route_SizedType<string name, string typeMnemonic, string what>
    : Route_Type<name, typeMnemonic, what> {
  let parameters = (ins "unsigned":$size);
  let assemblyFormat = "`<` $size `>`";
}

def Route_Words : Route_Type<"Words", "words", "the text's word hashes">;
def Route_Features : Route_Type<"Features", "features", "the text's feature hashes">;
def Route_Hits : Route_Type<"Hits", "hits", "terms found in the text">;
def Route_Votes : Route_Type<"Votes", "votes", "the zone with most votes, its votes and the total">;
def Route_Rows : Route_Type<"Rows", "rows", "rows of the known features, and the text's norm">;
def Route_Pool : Route_SizedType<"Pool", "pool", "sum of rows: 32-bit, one value a dimension">;
def Route_Query : Route_SizedType<"Query", "query", "quantised text vector with peak and norm">;
def Route_Scores : Route_SizedType<"Scores", "scores", "32-bit score of each class">;
def Route_Weights : Route_SizedType<"Weights", "weights", "Q16 weight of each class">;
def Route_Candidates : Route_Type<"Candidates", "candidates", "the classes of largest score">;
def Route_Odds : Route_Type<"Odds", "odds", "the best class against the root's own, in 1/256 bit">;
def Route_Acceptance
    : Route_Type<"Acceptance", "acceptance", "CLSF's thresholds and root odds, read at run time">;
def Route_Zone : Route_Type<"Zone", "zone", "a zone with its confidence">;

class Route_Op<string mnemonic, list<Trait> traits = []> : Op<Route_Dialect, mnemonic, traits>;

//===------------------------------------------------------------------------------------------===//
// Structure
//===------------------------------------------------------------------------------------------===//

def Route_ProgramOp : Route_Op<"program", [
    IsolatedFromAbove, Symbol, SingleBlock, NoRegionArguments]> {
  let summary = "how one artifact routes a text";
  let description = [{
    Stages run in the order written; the first that accepts answers. When none does, the root does
    (`route.root`, the terminator). `zones` is ZTRE's zone count, `terms` KEYW's term count.

    The verifier proves that no accumulator can overflow at the input limits
    (docs/architecture.md, "Overflow").
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I32Attr:$zone_count, I32Attr:$term_count);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `zones` $zone_count `terms` $term_count attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
}

def Route_StageOp : Route_Op<"stage", [HasParent<"ProgramOp">, SingleBlock, NoRegionArguments]> {
  let summary = "a stage: skipped unless the query's mask has it";
  let arguments = (ins Route_StageKind:$kind);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$kind attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{ AnswerOp answer(); }];
}

def Route_RootOp : Route_Op<"root", [HasParent<"ProgramOp">, Terminator]> {
  let summary = "no stage has answered: the root does";
  let assemblyFormat = "attr-dict";
}

def Route_AnswerOp : Route_Op<"answer", [HasParent<"StageOp">, Terminator]> {
  let summary = "what the stage has found";
  let description = [{
    The keyword stage answers its votes' winner `if` they are accepted, with a fixed Q16
    `confidence`; `never` leaves the winner as the best guess of a text that no later stage looks
    at. The embedding stage always answers: climbing has already abstained where it must.
  }];
  let arguments = (ins AnyTypeOf<[Route_Votes, Route_Zone]>:$value, Optional<I1>:$accepted,
                       OptionalAttr<I32Attr>:$confidence, UnitAttr:$never);
  let assemblyFormat = [{
    $value (`if` $accepted^ `confidence` $confidence)? (`never` $never^)? attr-dict
    `:` type($value)
  }];
  let hasVerifier = 1;
}

//===------------------------------------------------------------------------------------------===//
// Text
//===------------------------------------------------------------------------------------------===//

def Route_TokenizeOp : Route_Op<"tokenize", [Pure, HasParent<"ProgramOp">]> {
  let summary = "bytes to word hashes and feature hashes";
  let arguments = (ins I32Attr:$word_ngram_max, I32Attr:$char_ngram_min, I32Attr:$char_ngram_max,
                       UnitAttr:$punct);
  let results = (outs Route_Words:$words, Route_Features:$features);
  let assemblyFormat = [{
    `word_ngrams` $word_ngram_max `char_ngrams` $char_ngram_min `to` $char_ngram_max
    (`punct` $punct^)? attr-dict
  }];
  let hasVerifier = 1;
}

//===------------------------------------------------------------------------------------------===//
// Stage 1: keywords
//===------------------------------------------------------------------------------------------===//

def Route_MatchOp : Route_Op<"match", [Pure]> {
  let summary = "runs the automaton of all zones' terms over the words";
  let arguments = (ins Route_Words:$words);
  let results = (outs Route_Hits:$hits);
  let assemblyFormat = "$words attr-dict";
}

def Route_VoteOp : Route_Op<"vote", [Pure]> {
  let summary = "each hit votes for its zone with the term's weight";
  let description = [{
    Winner: largest vote, ties to the lowest zone. `parents[z]` is the nearest proper ancestor of
    zone z that can have votes of its own, or -1; absent when no zone has one, and then the winner
    stands alone in the purity test.
  }];
  let arguments = (ins Route_Hits:$hits, OptionalAttr<DenseI32ArrayAttr>:$parents);
  let results = (outs Route_Votes:$votes);
  let assemblyFormat = "$hits (`parents` $parents^)? attr-dict";
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def Route_AcceptVotesOp : Route_Op<"accept_votes", [Pure]> {
  let summary = "whether the winner has enough votes, and enough of all votes (Q16)";
  let arguments = (ins Route_Votes:$votes, I32Attr:$at_least, I32Attr:$purity);
  let results = (outs I1:$accepted);
  let assemblyFormat = "$votes `at_least` $at_least `purity` $purity attr-dict";
  let hasVerifier = 1;
}

//===------------------------------------------------------------------------------------------===//
// Stage 2: embedding
//===------------------------------------------------------------------------------------------===//

def Route_LookupOp : Route_Op<"lookup", [Pure]> {
  let summary = "feature hashes to rows of the table";
  let description = [{
    Features without a row are dropped; a word unigram without one adds `unknown_norm` squared to
    the text's norm.
  }];
  let arguments = (ins Route_Features:$features, I32Attr:$buckets, I32Attr:$rows,
                       I32Attr:$unknown_norm);
  let results = (outs Route_Rows:$known);
  let assemblyFormat = [{
    $features `buckets` $buckets `rows` $rows `unknown_norm` $unknown_norm attr-dict
  }];
  let hasVerifier = 1;
}

def Route_PoolOp : Route_Op<"pool", [Pure]> {
  let summary = "bias row + the sum of the known rows";
  let arguments = (ins Route_Rows:$rows);
  let results = (outs Route_Pool:$pool);
  let assemblyFormat = "$rows attr-dict `:` qualified(type($pool))";
  let hasVerifier = 1;
}

def Route_QuantizeOp : Route_Op<"quantize", [Pure]> {
  let summary = "scales the pool so that its peak becomes 127, rounded to 8 bits";
  let arguments = (ins Route_Pool:$pool);
  let results = (outs Route_Query:$query);
  let assemblyFormat = "$pool attr-dict `:` qualified(type($pool)) `->` qualified(type($query))";
  let hasVerifier = 1;
}

def Route_ScoreOp : Route_Op<"score", [Pure]> {
  let summary = "dot product of the query with every class vector, in CENT's layout";
  let arguments = (ins Route_Query:$query, I32Attr:$layout);
  let results = (outs Route_Scores:$scores);
  let assemblyFormat = [{
    $query `layout` $layout attr-dict `:` qualified(type($query)) `->` qualified(type($scores))
  }];
  let hasVerifier = 1;
}

def Route_WeighOp : Route_Op<"weigh", [Pure]> {
  let summary = "softmax weights to base 2, in fixed point";
  let arguments = (ins Route_Scores:$scores, Route_Query:$query, I32Attr:$gain);
  let results = (outs Route_Weights:$weights);
  let assemblyFormat = [{
    $scores `by` $query `gain` $gain attr-dict
    `:` qualified(type($scores)) `,` qualified(type($query)) `->` qualified(type($weights))
  }];
  let hasVerifier = 1;
}

def Route_SelectOp : Route_Op<"select", [Pure]> {
  let summary = "the classes of largest score, best first, ties to the lowest";
  let description = [{
    `zones[k]` is the zone of class k, ascending. When zones[0] is 0, class 0 is the root's own and
    is no best guess.
  }];
  let arguments = (ins Route_Scores:$scores, DenseI32ArrayAttr:$zones);
  let results = (outs Route_Candidates:$candidates);
  let assemblyFormat = "$scores `zones` $zones attr-dict `:` qualified(type($scores))";
  let hasVerifier = 1;
}

def Route_OddsOp : Route_Op<"odds", [Pure]> {
  let summary = "how far the best class of a zone leads the root's own";
  let description = [{
    Only where class 0 is the root's own and there is another class.
  }];
  let arguments = (ins Route_Candidates:$candidates, Route_Weights:$weights);
  let results = (outs Route_Odds:$odds);
  let assemblyFormat = "$candidates `with` $weights attr-dict `:` qualified(type($weights))";
}

def Route_AcceptanceOp : Route_Op<"acceptance", [Pure]> {
  let summary = "the table of thresholds and the root's odds, as the CLSF section has them";
  let description = [{
    What a zone needs to answer is set by calibration. It is read from the artifact for each text,
    so that calibrating again changes no kernel.
  }];
  let arguments = (ins);
  let results = (outs Route_Acceptance:$acceptance);
  let assemblyFormat = "attr-dict";
}

def Route_ClimbOp : Route_Op<"climb", [Pure]> {
  let summary = "from the best class's zone to the nearest ancestor that is sure enough";
  let description = [{
    Zone z has the classes [class_begin[z], class_end[z]); its confidence is their share of all
    weights. While it is below z's threshold in `acceptance` the answer moves to parents[z]. `steps`
    bounds the moves; 0: the best guess stands. The root (zone 0) always answers, with confidence
    65536: at once without any known row, or when `odds` are below acceptance's.
  }];
  let arguments = (ins Route_Candidates:$candidates, Route_Weights:$weights, Route_Rows:$rows,
                       Route_Acceptance:$acceptance, Optional<Route_Odds>:$odds, I32Attr:$steps,
                       DenseI32ArrayAttr:$parents, DenseI32ArrayAttr:$class_begin,
                       DenseI32ArrayAttr:$class_end);
  let results = (outs Route_Zone:$zone);
  let assemblyFormat = [{
    $candidates `with` $weights `on` $rows `by` $acceptance (`odds` $odds^)? `steps` $steps
    `parents` $parents `classes` $class_begin `to` $class_end attr-dict
    `:` qualified(type($weights))
  }];
  let hasVerifier = 1;
}

def Route_DescendOp : Route_Op<"descend", [Pure]> {
  let summary = "down the search tree, level by level, and up to a zone that is sure enough";
  let description = [{
    In place of `route.score` to `route.climb` where classes are too many to score them all: the
    `width` best nodes of each level are followed (those with 2^-`spread` of the best one's mass at
    least). The tree itself is a table (BEAM): `entries` class vectors in `nodes` nodes of up to
    `room` each, on `levels` levels.
  }];
  let arguments = (ins Route_Query:$query, Route_Rows:$rows, Route_Acceptance:$acceptance,
                       I32Attr:$classes, I32Attr:$entries, I32Attr:$nodes, I32Attr:$levels,
                       I32Attr:$room, I32Attr:$width, I32Attr:$spread, I32Attr:$gain);
  let results = (outs Route_Zone:$zone);
  let assemblyFormat = [{
    $query `on` $rows `by` $acceptance `classes` $classes `entries` $entries `nodes` $nodes
    `levels` $levels `room` $room `width` $width `spread` $spread `gain` $gain attr-dict
    `:` qualified(type($query))
  }];
  let hasVerifier = 1;
}

//===------------------------------------------------------------------------------------------===//
// Below the program level
//===------------------------------------------------------------------------------------------===//

def Route_Dot4Op : Route_Op<"dot4", [Pure, AllTypesMatch<["acc", "result"]>,
                                     AllTypesMatch<["lhs", "rhs"]>]> {
  let summary = "acc[i] + sum over j < 4 of (lhs[4i + j] + lhs_bias) * rhs[4i + j]";
  let description = [{
    Every instruction set has its own way for this, and no other operation of a lowered program is
    target-specific. Bytes are signed and must lie in -127..127. With `lhs_bias` 128 the left side
    is unsigned, as some hardware wants it; the accumulator then starts at -128 times the sum of the
    right side (CENT's `offsets`), and both forms give the same result.
  }];
  let arguments = (ins VectorOfRankAndType<[1], [I32]>:$acc, VectorOfRankAndType<[1], [I8]>:$lhs,
                       VectorOfRankAndType<[1], [I8]>:$rhs,
                       DefaultValuedAttr<I32Attr, "0">:$lhs_bias);
  let results = (outs VectorOfRankAndType<[1], [I32]>:$result);
  let assemblyFormat = "$acc `,` $lhs `,` $rhs attr-dict `:` type($acc) `,` type($lhs)";
  let hasVerifier = 1;
}

#endif // SEMDNS_DIALECTS_ROUTE_TD
