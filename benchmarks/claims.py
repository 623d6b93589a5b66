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

SHAPES = {
    "qwen3_06b": "Qwen 3 0.6B",
    "gemma3_1b": "Gemma 3 1B",
}
"""Models that figures are measured of at their true shapes, as figures call them."""


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
        "A long prompt whose time of day has changed is known all the same",
        "The time to the first token of a prompt as Home Assistant's Assist has it, with the time at its head, over the"
        " time where nothing is known, through MQTT: the second asking against the first, and the third after daemon"
        " and engine were ended with `kill -9` and begun anew. Assist's prompts reach 13,000 tokens; this one fills the"
        " model's 8,192.",
        "assist-prompt",
        {
            "assist_prompt_tokens": "tokens of the prompt",
            "assist_prompt_in_memory_over_cold": "with another time, known in memory",
            "assist_prompt_after_power_cut_over_cold": "with another time, the power cut five seconds after the second",
            "assist_prompt_written_mb": "written to the disk for five askings, over the cut",
        },
    ),
    Group(
        "What Assist is told to switch is what Home Assistant can switch",
        "Forty-four sentences about a house of nine things, 30 commands and 14 that are none, before the door's intents"
        " and SmolLM2-135M, which is small for this. None of them was known when the door's examples were chosen. A"
        " command that is not found is answered in words, and nothing is switched.",
        "assist-intents",
        {
            "assist_intents_valid": "share that became an intent that Home Assistant takes, of what is there, or none",
            "assist_intents_right": "share of the commands that became what they mean, to the number",
            "assist_intents_left_alone": "share of the others that became no command",
            "assist_intents_mistaken": "sentences by which something else would have been switched",
            "assist_intents_seconds": "what the choice takes where something is named, the median",
        },
    ),
    Group(
        "Vectors are the reference's",
        "all-MiniLM-L6-v2 in 8 bits beside SmolLM2-135M, asked over MQTT and with OpenAI's own client: texts of many"
        " lengths and 23 languages, and odd ones, each by its cosine distance to what Transformers makes of it in"
        " floats. The daemon has one row; an answer is 64 tokens,"
        " the texts beside it keep the embedding model at work all the while.",
        "embeddings",
        {
            "embeddings_texts": "texts that are compared",
            "embeddings_cosine_mqtt": "the worst text's distance, over MQTT",
            "embeddings_cosine_openai": "the worst text's distance, with OpenAI's client",
            "embeddings_answer_slowed": "an answer's time while vectors are made, over its time alone, medians",
            "embeddings_beside_answers_ms": "a short text's vector while the only row answers, median",
        },
    ),
    Group(
        "What the HTTP door adds over MQTT",
        "The same daemon with a scripted engine, asked by turns over HTTP and MQTT, as a stream: what the one"
        " takes longer than the other, at the median and at the 99th percentile.",
        "http",
        {
            "http_first_added_ms_p50": "until the first piece, median",
            "http_first_added_ms_p99": "the same, 99th percentile",
            "http_whole_added_ms_p50": "until the answer is whole, median",
            "http_whole_added_ms_p99": "the same, 99th percentile",
        },
    ),
    Group(
        "A small bundle guesses for a large one",
        "Tokens a second of answers of 128 tokens with `engine.draft` over those without, a step of each in turns, the"
        " prompt lookup beside both. The large bundle is SmolLM2-135M in 8 bits with layers behind each of its own that"
        " cost what a layer costs and change nothing; for text that a draft knows the default bundle drafts, for text"
        " that it does not the same with its matrices' columns in another order. So this is about the mechanism, not a"
        " true pair.",
        "draft",
        {
            "draft_known_over_without": "text that the draft knows",
            "draft_stories_over_without": "stories, which hang on small differences",
            "draft_unknown_over_without": "text that it does not know",
            "draft_answers_the_same": "answers that are the same as without, of all",
        },
    ),
    Group(
        "Adapters by request",
        "A token of one row and of eight with a LoRA adapter over one without, in one run by turns; adapters of rank 8"
        " for queries and values, as PEFT has them where nobody says, and of rank 16 for every matrix.",
        "adapters",
        {
            "adapter_row_over_none": "a row with an adapter over one without",
            "adapter_rows_of_eight_over_none": "eight rows with it over eight without",
            "adapter_whole_row_over_none": "a row with an adapter of rank 16 for every matrix over one without",
            "adapter_step_after_switch_over_before": "the first token after a switch of adapters over the last before",
            "adapter_bundle_over_plain": "a row without adapter, in a bundle that has some over one that has none",
            "adapter_one_graph_over_plain": "the same where packed weights are not kept, so that one graph answers all",
            "adapter_rows_together_over_apart": "eight rows of two adapters and none by one run over a run for each",
        },
    ),
    Group(
        "Answers from documents begin no later",
        "What asking with `documents` adds before the model reads a token: the question embedded, pieces found by words"
        " and by meaning, chosen and put before it. The documents are Python's own; the embedding model is in memory.",
        "documents-asked",
        {
            "documents_asked_pieces": "pieces that are searched",
            "documents_added_ms_p95": "added, 95th percentile",
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
        "Keys and values in fewer bits",
        "What they add to the loss of SmolLM2-135M with its matrices in 8 bits, computed in floats, by onnxruntime's"
        " own attention. Each channel's step is from the calibration text, Python's documentation; the other text is"
        " Python's source code. 4 bits with the best of three reaches. A bundle has 8 bits.",
        "kv-cache",
        {
            "kl_added_by_8_bit_cache": "added by 8 bits",
            "kl_added_by_8_bit_cache_on_code": "the same, on source code",
            "kl_added_by_4_bit_cache": "added by 4 bits",
            "kl_added_by_4_bit_cache_on_code": "the same, on source code",
            "kv_bytes_over_float32": "keys and values of a bundle over float32, bytes",
        },
    ),
    Group(
        "What is kept of the float model's answers",
        "Questions with answers that can be checked: sums, JSON out of messages, states of devices, yes or no about a"
        " text, and yes, no or a word in German, French, Spanish and Japanese, each behind others of its kind with"
        " their right answers. SmolLM2-135M in floats and its default bundle. Most are too hard for a model of this"
        " size, which guesses then; it is sure where each token of its answer is a nat ahead of the next.",
        "tasks",
        {
            "tasks_asked": "questions",
            "tasks_kept": "answered as by the float model, right or wrong",
            "tasks_kept_of_sure": "the same of those that the float model is sure of",
            "tasks_right_over_source": "right answers over the float model's",
            "tasks_differ_by_shape": "answers of the float model that change where texts are read in other lengths",
            "tasks_judged_as_generated": "answers that are no labels and are judged without generating as the engine's"
            " own are by strict checkers",
        },
    ),
    Group(
        "A bundle for QNN, on an emulator and not on hardware",
        "glassllm's whole model in 4 bits a channel and values of 16 bits, as two graphs of fixed shapes that QNN takes"
        " whole, on the emulator of an HTP that comes with its plugin; beside it the same two graphs on the processor."
        " Eight texts of the model's own, gone on with greedily, 64 tokens each.",
        "qnn",
        {
            "qnn_emulator_texts_equal": "texts of which all 64 tokens are the processor's",
            "qnn_emulator_tokens_equal_ratio": "tokens that are the processor's, each behind what that has said before",
            "qnn_emulator_margin_where_not": "how far behind the processor's first choice another was, the most of any",
            "qnn_kl": "what the bundle loses",
            "qnn_kl_float_activations": "what its weights, keys and values alone lose",
        },
    ),
    Group(
        "A board that stays cool by itself",
        "The governor on boards on paper: two poles, a Raspberry Pi's firmware that lowers the clock from 80 °C on,"
        " f·V², tokens as clock^0.2. All of it is reckoned, none of it measured. First a bare Raspberry Pi 5 at 22 °C"
        " for an hour, the worst of ten seeds of its sensor's noise; then six boards with thermal resistances ± 25 %,"
        " time constants ± 30 %, at 15, 22 and 35 °C, with clocks to set and without.",
        "governor",
        {
            "governor_free_seconds_above_80": "no governor: seconds above 80 °C",
            "governor_clock_tokens_lost_percent": "with clocks to set: tokens lost against no governor",
            "governor_clock_seconds_above_80": "with clocks to set: seconds above 80 °C",
            "governor_duty_tokens_lost_percent": "with pauses alone: tokens lost against no governor; the bar is what"
            " the duty loses at which the board settles 3 °C below its limit",
            "governor_duty_over_balance": "with pauses alone: tokens over those of that duty",
            "governor_duty_seconds_above_80": "with pauses alone: seconds above 80 °C",
            "governor_fixed_duty_seconds_above_80": "that duty, fixed, when the room is at 35 °C: seconds above 80 °C",
            "governor_warm_seconds_above_80": "the governor with pauses alone at 35 °C: seconds above 80 °C",
            "governor_headroom_runs": "hours of boards with headroom",
            "governor_headroom_schedules_altered": "of these, those whose clock, duty or heat was not that of no"
            " governor, to the bit",
            "governor_hot_runs": "hours of boards without",
            "governor_oscillations": "of these, moves one way less than a minute after one the other way",
            "governor_turns_an_hour": "turns from one way to the other in an hour, the most of any",
            "governor_seconds_above_limit": "seconds above their limits, where resting boards stay below them",
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
        "Home Assistant takes the board",
        "The discovery messages of every board that the tests know, held to Home Assistant's own schemas of MQTT"
        " devices and of each platform, in the releases 2025.4, 2025.12 and 2026.2.",
        "home-assistant",
        {
            "home_assistant_components": "components of all messages, over all releases",
            "home_assistant_accepted_ratio": "those that are accepted",
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
        "Nothing is lost where a board dies",
        "Three boards share a queue at Mosquitto (`fleet`), five requests a second, each asked once. One is killed each"
        " minute for ten minutes: every other time it comes back at once, else after another has taken its place.",
        "fleet",
        {
            "fleet_requests": "requests that the broker acknowledged; the bar is nine tenths of what was to be asked",
            "fleet_kills": "boards killed",
            "fleet_lost": "requests without an answer",
            "fleet_refused": "requests that ended otherwise than with a whole answer",
            "fleet_told_again": "answers that came a second time; the bar is what the boards may have had in hand",
        },
    ),
    Group(
        "Another model while it answers",
        "A client asks all the time while one bundle takes another's place: engines of a script, with the daemon killed"
        " at 40 seeded moments of as many exchanges; real ones, killed at six; and ten exchanges without a kill, every"
        " third of a bundle that answers wrongly. After each kill the board is asked which bundle it has.",
        "rollbacks",
        {
            "exchange_kills_whole": "of 40 kills, those after which one whole bundle answers",
            "exchange_kills_lost": "requests without an answer, over the 40",
            "exchange_kills_contradicted": "requests with two answers that differ, over the 40",
            "exchange_kills_real_whole": "of six kills with the real engine, those after which a whole bundle answers",
            "exchange_kills_real_lost": "requests without an answer, over the six",
            "exchange_lost": "requests without an answer, over ten exchanges without a kill",
            "exchange_failed": "those that did not end with a whole answer, over the ten",
            "exchange_begun_again": "those that two engines worked on, over the ten",
            "exchange_right_ends": "of ten bundles, those kept or rolled back as they should be",
        },
    ),
    Group(
        "The kiosk's page",
        "In Debian's Chromium with nothing but loopback there, the embedded broker that hands the page out, and"
        " SmolLM2-135M. Browser, broker and model share the two cores. Then twenty screens at once for ten minutes:"
        " visitors come, ask twice and leave, and the page forgets each.",
        "kiosk",
        {
            "kiosk_page_kb": "all that is handed out, gzipped",
            "kiosk_interactive_ms": "from a navigation's start until a question can be asked, nothing cached, the"
            " median of nine",
            "kiosk_delta_ms_p95": "from a piece's publish until it is on the screen, 95th percentile: how much later"
            " than at a subscriber without a screen",
            "kiosk_off_loopback_requests": "requests, connections and names that Chromium's own network log has beside"
            " this machine's",
            "kiosk_axe_screens": "screens that axe has looked at: each in three themes, from left to right and from"
            " right to left",
            "kiosk_axe_violations": "what it found there",
            "kiosk_visitors": "visitors in the ten minutes",
            "kiosk_answers_lost": "their questions without a whole answer",
            "kiosk_heap_growth_of_many_mb": "memory of a tab's script once its garbage is collected, from its 60th to"
            " its 240th visitor, answers of a script",
            "kiosk_heap_growth_mb": "the same of one of the twenty, from the second minute to the last",
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
        "With another server behind it, what leaves is named and counted",
        "A real daemon over a real broker, and a server that speaks OpenAI's chat API and counts what comes: 200"
        " requests of eight kinds, once with no rule of `upstream.when`, once with all of them.",
        "upstream",
        {
            "upstream_closed_requests": "requests that came there without a rule",
            "upstream_open_requests": "with all rules; the bar says that it is tried at all",
            "upstream_unnamed_answers": "of these, whose reply does not name who answered",
            "upstream_uncounted_requests": "of these, that telemetry has not counted",
            "upstream_uncounted_bytes": "bytes of them that telemetry has not counted",
        },
    ),
    Group(
        "What the board tells of itself",
        "Trees of files as boards have them, one of them hostile, and a daemon that reads the largest. Prompts of 3,900"
        " tokens are read one after the other for half a minute, while telemetry comes four times a second.",
        "telemetry",
        {
            "boards_read_right": "boards of which exactly what is expected is read",
            "hostile_board_errors": "failures counted on the hostile one; the bar is how many there are",
            "telemetry_look_p99_ms": "a look at all that is read at each, on the board with the most files, 99th"
            " percentile of 2,000",
            "telemetry_core_percent": "of one core that these looks take at the default pace",
            "daemon_idle_core_percent": "of one core that the whole daemon takes at that pace while nobody asks",
            "telemetry_daemon_rss_mb": "memory of the daemon with everything on, without its engine's process",
            "long_prefill_seconds": "how long prompts were read one after the other",
            "long_prefill_late_over_period": "the latest telemetry meanwhile, after its time, in periods",
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
        "What the export reads it understands",
        "Altered checkpoints: keys of a config, tensors, files, adapters and headers of GGUF files. Each must be"
        " refused by the name of what is altered, or its bundle must have the logits of Transformers (and PEFT). Then"
        " every kind of checkpoint that a manifest says was held to Transformers, and what a report says was lost"
        " beside what is measured with Transformers and the bundle's own graph. They want `make trace-test` first.",
        "misread",
        {
            "altered_checkpoints_right": "altered checkpoints refused by name or right, by Transformers 5",
            "altered_checkpoints_right_by_4_57": "the same by Transformers 4.57, adapters aside",
            "kinds_held_to_transformers": "kinds of checkpoint whose bundles have the logits of Transformers 5",
            "kinds_held_to_transformers_4_57": "kinds of checkpoint whose bundles have the logits of Transformers 4.57",
            "reported_kl_off_transformers_smollm2": "how far the loss that is reported is from the one that is"
            " measured, SmolLM2 rounded to nearest",
            "reported_kl_off_transformers_small_phi3": "the same of a small Phi-3 with random weights",
        },
    ),
    Group(
        "Folders of others are served as they are",
        "What onnxruntime-genai's model builder makes of SmolLM2 (`-p int4 -e cpu`), with keys and values in floats and"
        " in int8, after `edge bundle adopt`: eight questions to each, 48 tokens, greedily. It wants `make trace-test`"
        " first.",
        "adopted",
        {
            "adopted_answers_equal": "answers of the batched engine that are those of onnxruntime-genai's Generator on"
            " the builder's folder, to the letter",
        },
    ),
    Group(
        "Beam search is Transformers'",
        "Two to eight beams, with length penalties from -1 to 2, all kinds of early stopping, eight tokens that end a"
        " text, least lengths, penalties and biases. They want `make trace-test` first.",
        "beams",
        {
            "beams_equal_transformers": "searches whose beams are all those of Transformers 5, to the token",
            "beams_equal_transformers_4_57": "the same of Transformers 4.57",
        },
    ),
    Group(
        "Phi-3.5-MoE at its true width",
        "Two layers of sixteen experts, 4,096 wide, in floats, with random weights, over 96 tokens: as the export"
        " computes them, and Transformers 4.57 and 5, a layer at a time. It wants `make trace-test` first.",
        "moe-width",
        {
            "moe_width_logits_off": "the largest difference of two logits, as a share of the largest one",
            "moe_width_routing_equal": "tokens that go to the same two experts of a layer, over both versions",
        },
    ),
    Group(
        "A model by its name",
        "`edge run smollm2` and a question, with an empty HOME, no board and no broker: the checkpoint is downloaded,"
        " exported by its recipe, served on loopback and asked.",
        "run",
        {
            "run_by_name_exit_status": "its exit status",
            "run_by_name_answered_words": "words of the answer on standard output",
            "run_by_name_seconds": "all of it",
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
        "Models at their true shapes",
        "One layer of each at its true width and the tables, by GPTQ, with random weights that are drawn as they are"
        " read: memory at the peak is that of one layer and of the tables, however many layers there are.",
        "true-shapes",
        {
            **{
                f"{key}_{what}": f"{name}: {meaning}"
                for key, name in {"phi3_medium": "Phi-3-medium", **SHAPES}.items()
                for what, meaning in {
                    "peak_gib": "memory at the export's peak",
                    "answered_tokens": "tokens of an answer from that bundle",
                }.items()
            },
        },
    ),
    Group(
        "Models at their true shapes beside llama.cpp",
        "Whole models with random weights: prompts of 100 to 200 tokens, answers of 16, in turns in one run."
        " llama.cpp's file has about as many bits (Q4_K_M).",
        "true-shapes-speed",
        {
            f"{key}_{what}_over_llama_cpp": f"{SHAPES[key]}: {meaning}, over llama.cpp"
            for key in SHAPES
            for what, meaning in {"decode": "making an answer", "prefill": "reading a prompt"}.items()
        },
    ),
    Group(
        "A board from a package",
        "The package for Debian 12 and amd64 is built twice, from two folders by two people's settings. dpkg installs"
        " it on a minimal Debian that booted systemd and Mosquitto and has no network but loopback; a bundle is copied,"
        " a question asked, everything purged.",
        "packages",
        {
            "package_answers": "questions answered",
            "package_seconds": "from `dpkg -i` to the answer, on this machine; no bar",
            "package_builds_alike": "builds with the same bytes",
            "package_lintian_findings": "findings of lintian that no override explains",
            "unit_exposure": "what `systemd-analyze security` counts of the most exposed unit",
            "package_left_after_purge": "files and folders that were not there before",
        },
    ),
    Group(
        "The package on a whole arm64 Debian",
        "Emulated, two Cortex-A76 with 2 GB, its own kernel and systemd, and no network but loopback: `dpkg -i`, the"
        " limits that `edge doctor --unit` prints, a question; then half of the memory that the unit holds, and the"
        " question again.",
        "guest",
        {
            "guest_answers": "questions answered, one of them after the kernel has ended a process of the unit",
            "guest_limit_kept": "the kernel's limit is the drop-in's",
            "guest_peak_mb": "the unit's memory at most, page cache and all, below its limit",
            "guest_killed_over_limit": "processes that the kernel ended where the limit was halved",
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
        "The tokens that the model was trained on",
        "10,000 texts made to differ (numbers, white space, scripts, emoji, code, control marks), read by the engine"
        " over what the export made of tokenizers in every form, and by the library `tokenizers` over the originals.",
        "tokens",
        {
            "tokens_differing_texts": "texts that come out as other tokens, or back as another text, over all forms",
            "tokens_forms": "forms: ways to cut, to merge and to join, small tokenizers and the real SmolLM2 and Phi-3",
            "tokens_forms_without_the_wheel": "forms that a board reads without the optional wheel",
        },
    ),
    Group(
        "An export ends well or at once",
        "Contexts are walked to their ends, by prompts, slices and batches at their edges, with both caches and both"
        " forms of rotary tables. `--force` meets places that hold no bundle. Some thirty things that keep a checkpoint"
        " of Phi-3.5-mini's true size from becoming a bundle are tried, from a NaN in its middle to a wrong option.",
        "contexts places",
        {
            "engine_deaths_by_context": "contexts from 16 to 300, and every recipe's, that end the engine or an answer",
            "places_left_whole": "kinds of places that `--force` leaves as they are",
            "refusal_seconds": "the slowest refusal, from the command's start; all come before a matrix is rounded",
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
    Group(
        "Bundles from a signed repository",
        "The installer that boards run, from a repository made with python-tuf: ten kinds of bad bundles; `kill -9` at"
        " moments drawn from the whole of an installation of SmolLM2-135M in which every chunk of the weights is new;"
        " and what is fetched where one of its thirty layers is another, first of the same size, then in more bits, so"
        " that all behind it moves.",
        "installs power-cuts",
        {
            "installs_refused_kinds": "kinds of bad bundles that are refused by their reason, the store as it was",
            "installs_killed_whole": "moments after which every bundle is whole, and the next installation ends",
            "installs_power_cuts_whole": "the same where the power goes: an ext4 is shut down and loses what it had not"
            " written (as root)",
            "installs_layer_share": "share of a bundle that is fetched for one layer",
            "installs_shifted_layer_share": "the same for a layer that has become larger",
        },
    ),
    Group(
        "Who signed a bundle",
        "What a board's verifier of OpenSSF Model Signing v1.0 says of every kind of good and of bad signature, made by"
        " the reference implementation `model_signing` 1.1.1, or by hand where it would not; of signed models altered"
        " at random in their files, signatures and rightly signed statements: whatever a board accepts of them, the"
        " reference must accept; and of what others publish: the specification's eight test vectors, and the"
        " reference's thirteen signatures since 0.2.0. Keyless ones come out right where they are refused for being"
        " that: a board without the internet cannot verify them. `signature-vectors` wants `OMS_VECTORS`.",
        "signatures signature-vectors",
        {
            "signatures_accepted_kinds": "kinds of good signatures that are accepted",
            "signatures_refused_kinds": "kinds of bad ones that are refused by their reason",
            "signatures_accepted_alone": "altered models that a board accepts and the reference refuses",
            "signatures_published": "published signatures that come out as they should",
        },
    ),
    Group(
        "Boards with Ansible",
        "The collection as it is shipped. A Debian with systemd and no network is set up from nothing to an answer, and"
        " once more. Six daemons at one Mosquitto get a signed bundle that answers wrongly, in waves of one, two and"
        " three, then a good one. As root, after `make ansible-test`.",
        "waves",
        {
            "ansible_second_run_changed": "tasks of the second run that change anything",
            "waves_bad_bundle_first_wave": "boards that a bad bundle is tried on, of the first wave",
            "waves_bad_bundle_later_waves": "boards of later waves that are asked for it, or run it",
            "waves_good_bundle_boards": "boards that keep a good bundle",
        },
    ),
    Group(
        "Answers from documents",
        "Python's own documentation, 250 files: its language reference and its library's docstrings. 74 questions as"
        " visitors would ask them, not in the documents' words, each with the places that answer it, and 15 about"
        " something else; the numbers of the search were chosen on as many others. Then an index of 10 MB of text, by"
        " `edge documents add`. A bundle without an embedding model is given all-MiniLM-L6-v2 for this.",
        "documents",
        {
            "documents_recall_at_5": "questions one of whose five pieces is of a place that answers them",
            "documents_recall_at_5_words": "the same found by words alone",
            "documents_recall_over_words": "the first over the second",
            "documents_nothing_told": "questions about something else that get no piece",
            "documents_nothing_false": "questions with an answer that get no piece",
            "documents_index_seconds": "making an index of 10 MB of text, vectors included, on both cores",
            "documents_index_peak_mb": "the most memory that it takes, of the command or of its reader",
            "documents_search_ms_p95": "finding the pieces of a question among those of 10 MB, its vector included,"
            " 95th percentile",
        },
    ),
    Group(
        "GGUF files",
        "llama.cpp's own: vocabularies with the tokens that texts must give, and files that its converter made of small"
        " Phi-3-, Phi-3.5-MoE-, TinyLlama- and Mistral-like folders with their own tokenizers. It wants"
        " `make trace-test` first.",
        "gguf-files",
        {
            "gguf_vectors_alike": "vocabularies that give every token of llama.cpp's vectors",
            "gguf_equals_folder": "files whose bundles have the logits, tokens and chat text of their folders' bundles",
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
