"""What each figure means: groups in the order of the page, a line a figure. A new figure needs its line here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """A claim. only: what `make figures ONLY=` takes to measure it. meanings: by a figure's name, in plain words."""

    title: str
    sentence: str
    only: str
    meanings: dict[str, str]


SIZES = {"92": "92", "95_5": "95.5", "101_5": "101.5", "105_5": "105.5"}
"""MB, as figures' names spell them and as people do."""
PEERS = {
    "llama_cpp": "llama.cpp at about as many bits (Q4_K_M)",
    "llama_cpp_q4_0": "llama.cpp's Q4_0, which has fewer bits and loses more",
    "genai": "onnxruntime-genai's Generator as it comes, which is one thread here",
    "genai_every_core": "onnxruntime-genai's Generator on every core",
}
"""Who else answers one request, by their part of a figure's name."""


def over_peers(prefix: str) -> dict[str, str]:
    """Both speeds over each peer's."""
    kinds = {"decode": "making an answer", "prefill": "reading a prompt"}
    return {
        f"{prefix}{kind}_over_{peer}": f"{words}, over {whose}"
        for peer, whose in PEERS.items()
        for kind, words in kinds.items()
    }


def losses(key: str, megabytes: str) -> dict[str, str]:
    """The figures of one size."""
    within = f"within {megabytes} MB"
    return {
        f"kl_{key}mb_size": f"what our weights take {within}",
        f"kl_{key}mb": f"our loss {within}, with int8 activations, as it runs",
        f"kl_{key}mb_float_activations": f"our loss {within}, with float activations",
        f"kl_{key}mb_over_llama_cpp": f"our loss over that of llama.cpp's best file {within}",
        f"kl_{key}mb_calibrated_on_code": f"our loss {within}, calibrated on Python instead of prose; the bar is"
        " what rounding to nearest loses",
    }


GROUPS = (
    Group(
        "It answers on a bare machine",
        "The two commands of the README, each from a fresh clone with an empty HOME. The bare Debian has git, make and"
        " Python with its venv module, and nothing else.",
        "demo two-makes test wheel bare parent",
        {
            "demo_cold_exit_status": "exit status of the first `make demo`",
            "demo_cold_seconds": "the first `make demo`: installing, fetching, quantising, three answers",
            "demo_warm_exit_status": "exit status of the second `make demo`",
            "demo_warm_seconds": "the second `make demo`",
            "demo_sensible_answers": "the demo's answers that are right",
            "demo_cuda_packages": "NVIDIA's packages among those that it installs",
            "test_fresh_exit_status": "exit status of `make test`",
            "test_fresh_seconds": "`make test`: installing, making the bundle, lint, types, the whole suite",
            "bare_root_demo_exit_status": "exit status of `make demo` on a bare Debian, not as root",
            "bare_root_test_exit_status": "exit status of `make test` on a bare Debian, not as root",
            "two_makes_at_once_failed": "`make demo` and `make test` started together in one clone, those that failed",
            "wheel_suite_exit_status": "exit status of the suite against the installed wheel",
            "help_seconds": "`edge --help`, the median of five",
        },
    ),
    Group(
        "One request, beside others",
        "Tokens a second, ours over the other's: more than 1 is faster. SmolLM2-135M, prompts of 200 to 600 tokens,"
        " answers of 64, no guesses, no beginning known. The last two lines set graph beside graph, prompts of 512"
        " tokens and answers of 96: both run in onnxruntime-genai's Generator.",
        "alone builder",
        {
            **over_peers(""),
            "decode_over_genai_builder": "making an answer, our graph over that of onnxruntime-genai's own builder",
            "prefill_over_genai_builder": "reading a prompt, our graph over that of onnxruntime-genai's own builder",
        },
    ),
    Group(
        "One request at the size of Phi-3.5-mini",
        "The same beside the same others, with Phi-3.5-mini's true shape and random weights: prompts of 100 to 200"
        " tokens, answers of 16. The roofline is what memory gives all cores that read it and do nothing else.",
        "alone-full-size startup",
        {
            **over_peers("phi35_"),
            "phi35_decode_over_roofline": "bytes that an answer reads a second over the roofline, as the bundle has"
            " them",
            "phi35_decode_over_roofline_as_packed": "the same as the kernels read them, which is more",
        },
    ),
    Group(
        "Eight clients at once",
        "Eight questions at the same time, 96 tokens each: ours through MQTT, llama-server's through HTTP,"
        " onnxruntime-genai's Engine called directly. Tokens a second of all answers together.",
        "together",
        {
            "eight_clients_over_llama_cpp": "ours over llama-server's at about as many bits (Q4_K_M)",
            "eight_clients_over_genai_engine": "ours over those of onnxruntime-genai's Engine",
            "eight_clients_over_one": "ours with eight clients over ours with one",
            "eight_growing_answers_over_one": "the same straight at the engine, while all eight answers grow",
            "slowest_of_eight_over_fastest": "the slowest client's time over the fastest's",
        },
    ),
    Group(
        "Answers that fall into a loop",
        "Four hundred tasks, each answered greedily and by chance, 512 tokens at most, without the guard; then"
        " the guard over their tokens, and over 300 pieces of code, lists and tables. A loop is judged by characters:"
        " the answer's end is one passage three times running.",
        "loops",
        {
            "loop_guard_in_time_ratio": "looping greedy answers that are over within 64 tokens of the third time",
            "loop_guard_tokens_spared_ratio": "tokens of all answers that the guard spares",
            "loop_guard_false_alarms": "answers that ended by themselves, and texts, cut where nothing was said three"
            " times",
            "loop_guard_texts_cut": "pieces of code, lists and tables that were cut",
            "loop_guard_ended_anyway_cut_ratio": "answers that said the same over and over, were cut, and would have"
            " ended by themselves later",
        },
    ),
    Group(
        "What the way through MQTT costs",
        "Broker, daemon and journal with an engine that answers at once, but for the first line, which has the real"
        " one.",
        "decode durability",
        {
            "decode_mqtt_over_direct": "tokens a second of an answer through MQTT over the engine called directly",
            "overhead_p50_ms": "a request's time above a bare round trip through the broker, median",
            "overhead_p99_ms": "a request's time above a bare round trip through the broker, 99th percentile",
            "overhead_over_broker": "a request's time over a bare round trip through the broker",
            "sustained_requests_per_second": "requests a second of eight clients that have four out each",
        },
    ),
    Group(
        "A long prompt holds nobody up, a cancel is quick",
        "What a daemon still hears and says while its model reads a long prompt, and how soon the engine is free after"
        " a cancel.",
        "prefill cancel",
        {
            "prefill_prompt_tokens": "tokens of the long prompt",
            "prefill_worst_round_trip_ms": "the longest that a refusal takes meanwhile",
            "prefill_worst_telemetry_late_ms": "the latest that a telemetry message is meanwhile",
            "cancel_decode_p99_over_token": "a cancel within an answer, in the time of a token, 99th percentile",
            "cancel_prefill_p99_over_slice": "a cancel within a prompt, in the time of a slice of 256 tokens, 99th"
            " percentile",
        },
    ),
    Group(
        "What was read once is not read again",
        "The time to the first token where most of the prompt is known, over the time where nothing is, through MQTT.",
        "prefixes",
        {
            "warm_prefix_tokens": "tokens of the prompt that are known",
            "warm_prefix_in_memory_over_cold": "known in memory",
            "warm_prefix_from_disk_over_cold": "known on disk, after a restart",
        },
    ),
    Group(
        "What quantising loses",
        "KL divergence from the next-token distribution of the model in full precision, in nats a token: less is"
        " better. The model is SmolLM2-135M with noise on its weights, since those that are published lie on a 4-bit"
        " grid already. llama.cpp's files have an importance matrix over the text that ours are calibrated on, and are"
        " counted without the error of its int8 activations, which ours includes. Sizes are of our weights and of its"
        " whole files.",
        "fidelity other-text int8-cache unquantised",
        {
            **{name: words for key, each in SIZES.items() for name, words in losses(key, each).items()},
            "glassllm_llama_gptq_over_rtn": "our loss over that of rounding to nearest, weights that were never"
            " quantised, as a Llama",
            "glassllm_phi3_gptq_over_rtn": "our loss over that of rounding to nearest, weights that were never"
            " quantised, as a Phi-3",
            "kl_added_by_int8_cache": "what keys and values in int8 add to a bundle that loses next to nothing",
        },
    ),
    Group(
        "Memory, and starting again",
        "What the daemon takes beside its engine, and what Phi-3.5-mini's shape takes once its weights lie packed on"
        " disk.",
        "parent int8-cache startup",
        {
            "parent_rss_mb": "memory of the daemon without its engine's process, after three answers",
            "int8_cache_over_float32_bytes": "keys and values of a text in int8 over float32",
            "phi35_anonymous_over_weights": "memory of the engine at its second start that no file backs, over its"
            " weights",
            "phi35_second_start_over_first": "seconds until the engine is ready, the second start over the first",
        },
    ),
    Group(
        "Nothing accepted is lost",
        "Eight clients ask 1,000 times (an engine of a script) and 40 times (the real one), while the daemon is killed"
        " five times and the broker three. Then 24 hours on a simulated clock, the connection lost every five minutes.",
        "durability hours",
        {
            "storm_lost": "of 1,000 requests, those without an answer",
            "storm_contradicted": "of 1,000, those with two answers that differ",
            "storm_failed": "of 1,000, those that did not end with a whole answer",
            "storm_begun_again": "answers begun once more; the bar is how many the kills took",
            "storm_real_lost": "of 40 with the real engine, those without an answer",
            "storm_real_contradicted": "of 40, those with two answers that differ",
            "storm_real_failed": "of 40, those that did not end with a whole answer",
            "hours_of_reconnects": "simulated hours in which every request was answered once",
        },
    ),
    Group(
        "Nothing grows",
        "Those 24 hours, counted from the second to the last, and ten minutes of requests over a real connection that"
        " is cut every seven seconds, counted from the third minute on.",
        "hours soak",
        {
            "hours_descriptors_grown": "open files and sockets, 24 simulated hours",
            "hours_objects_grown": "Python's objects, 24 simulated hours",
            "soak_connections": "connections in the ten minutes",
            "soak_descriptors_grown": "open files and sockets, ten minutes",
            "soak_threads_grown": "threads, ten minutes",
            "soak_memory_grown_mb": "memory of the daemon, ten minutes",
        },
    ),
    Group(
        "Nothing leaves the board",
        "Broker, daemon and a client where there is no network but loopback, under strace: an answer, then a minute of"
        " standing still.",
        "egress",
        {
            "egress_foreign_calls": "calls to anything but the broker",
            "egress_files_under_home": "files written under HOME",
        },
    ),
    Group(
        "Hostile input",
        "Broken or malicious messages, numbers, texts and repeats at a running daemon, a full disk, a stop in the"
        " middle; inputs that an export must refuse.",
        "hostile fuzz strangers proofs",
        {
            "hostile_crashes": "times that the daemon ended",
            "hostile_answered": "messages that got a reply",
            "hostile_growth_mb": "what the daemon's memory grew by",
            "fuzz_packets": "packets of both versions of MQTT, well made and spoilt, through Mosquitto and the"
            " embedded broker",
            "fuzz_connections_again": "times that the daemon had to connect again meanwhile",
            "fuzz_requests_lost": "requests among them that a broker acknowledged and the board never answered",
            "numbers_engine_deaths": "times that the engine ended of a number: each field at and around its bounds",
            "forged_turns_fail": "tests with control marks in people's texts, each over three families' tokenizers and"
            " templates: not one control token comes of them",
            "forging_fails": "attempts under the shipped access list to ask, answer, stop or be heard as another",
            "asks_behind_the_shipped_list": "`edge ask`, `status` and `bench` under it by their options alone",
            "refusal_of_250_kb_ms": "from publishing 250 KB of text that does not fit to its refusal, the slowest of"
            " twenty kinds of text",
            "repeats_growth_mb": "what the daemon's memory grows by when an answer of 400 KB is asked for 1,500 times"
            " more",
            "full_journal_refused": "requests refused when the journal is full of answers that were delivered",
            "full_disk_then_room_refused": "requests refused a second after a full disk has room again",
            "stopped_answers_arrived": "running answers that arrive whole when SIGTERM goes to daemon and engine at"
            " once",
            "broken_inputs_refused": "tests of broken inputs to an export: one clear sentence, and nothing left behind",
        },
    ),
    Group(
        "Pictures",
        "Strange pictures at a running daemon with a small model that sees; Phi-3.5-vision's picture tower, its export"
        " and its serving at their true size, with random weights.",
        "pictures tower vision-full-size",
        {
            "strange_pictures_right": "strange, broken and malicious pictures that end as they should",
            "strange_pictures_slowest_seconds": "the slowest of them",
            "pictures_memory_grown": "what the engine's memory grew by in 180 pictures, as a share",
            "pictures_daemon_grown": "what the daemon's memory grew by in 180 pictures, as a share",
            "tower_error_8_bits": "the tower in 8 bits: error of what it sees, as a share",
            "tower_error_4_bits_over_8": "that error in 4 bits over that in 8",
            "tower_8_bits_mb": "the tower's size in 8 bits",
            "tower_8_bits_over_4_seconds": "the tower's time for a crop in 8 bits over 4",
            "tower_8_bits_over_float_seconds": "the tower's time for a crop in 8 bits over float32",
            "vision_export_minutes": "the export, by GPTQ",
            "vision_export_peak_gib": "the export's memory at its peak",
            "vision_picture_kl": "KL divergence on text behind a picture",
            "vision_serving_peak_gib": "peaks of daemon's and engine's memory together, a long text about a picture",
            "vision_serving_tokens": "tokens of that text, picture and answer",
        },
    ),
    Group(
        "The export of Phi-3.5-mini",
        "At its true size on a machine without torch; weights are random, shape, tokenizer and recipe are real.",
        "full-size",
        {
            "phi35_gptq_minutes": "time by GPTQ, the default",
            "phi35_gptq_peak_gib": "memory at its peak by GPTQ",
            "phi35_rtn_minutes": "time by rounding to nearest",
            "phi35_rtn_peak_gib": "memory at its peak by rounding to nearest",
            "phi35_bits_per_weight": "bits a weight, scales and all",
            "phi35_bundle_gb": "the bundle's size",
            "phi35_answered_tokens": "tokens of an answer from that bundle, through MQTT",
        },
    ),
    Group(
        "The house",
        "Rooms are the packages and files of `edge/`, floors lie above what they import; functions and files of `edge/`"
        " and `export/` are counted in lines.",
        "house",
        {
            "house_rooms": "rooms",
            "house_floors": "floors",
            "function_lines_median": "the median function",
            "function_lines_p90": "nine functions of ten are no longer than",
            "function_lines_most": "the longest function",
            "file_lines_most": "the longest file",
            "readme_lines": "the README",
            "docs_check_exit_status": "exit status of the check of links, commands and examples in all pages",
        },
    ),
    Group(
        "The same as the originals, and the same each time",
        "Each is some tests of the suite that were run and counted. Those beside Transformers want `make trace-test`"
        " first.",
        "proofs",
        {
            "same_tokens_as_transformers": "greedy tokens of unquantised bundles are those of Transformers",
            "same_chat_texts_as_transformers": "chat texts are those of Transformers, byte for byte",
            "same_logits_as_glassllm": "logits are those of the package glassllm, on its own weights",
            "phi_tokenizer_vectors": "the bundle's tokenizer gives the tokens that are published for Phi-3's",
            "two_exports_one_hash": "two exports of one model are the same bytes",
        },
    ),
)

FIVE = {
    "decode_over_llama_cpp": "An answer of SmolLM2-135M: tokens a second over llama.cpp's, about as many bits (Q4_K_M)",
    "eight_clients_over_llama_cpp": "Eight clients at once: tokens a second over llama-server's (Q4_K_M)",
    "kl_105_5mb_over_llama_cpp": "What quantising loses (KL divergence) over llama.cpp's best file within 105.5 MB",
    "storm_lost": "Of 1,000 requests, those lost while daemon and broker were killed eight times",
    "egress_foreign_calls": "Calls to anything but the broker, in an answer and the minute after it",
}
"""The README's, in words that stand alone."""


def meanings() -> dict[str, str]:
    """Every figure's, in the order of the page."""
    return {name: words for group in GROUPS for name, words in group.meanings.items()}
