"""Which tests hold what of the catalogue of situations (scheduler, life, time, database).

Many lie beside the code that they are about; `test_index.py` holds that each of them is there.
"""

from __future__ import annotations

from typing import Final

DRILL = "tests/acceptance/test_drill.py::test_S01_S12"
SIM = "tests/simulation/test_seeds_one.py::test_every_rule_holds_from_seed"
OUTAGE = "tests/acceptance/test_outages.py::test"
PROCESS = "tests/scheduler/process"

HELD_BY: Final[dict[str, tuple[str, ...]]] = {
    # several schedulers, kills, pauses, and what becomes of GPUs
    "S01": (DRILL, "tests/scheduler/test_scheduler.py::test_S01"),
    "S02": (
        "tests/scheduler/test_epoch.py::test_S02",
        "tests/scheduler/test_leader.py::test_S02",
        SIM,
        DRILL,
    ),
    "S03": ("tests/scheduler/test_scheduler.py::test_S03", SIM),
    "S04": (
        "tests/scheduler/test_scheduler.py::test_S04",
        "tests/scheduler/container/test_adoption.py::test_S04",
        SIM,
    ),
    "S05": (
        "tests/scheduler/test_scheduler.py::test_S05",
        "tests/scheduler/kubernetes/driver/test_absence.py::test_k07",
        "tests/scheduler/kubernetes/driver/test_driver.py::test_a_pod_on_a_machine_that_is_away",
        "tests/scheduler/test_scheduler.py::test_while_its_target_is_away",
        "tests/cluster/test_drills.py::test_the_api_server_is_away_for_two_minutes",
    ),
    "S06": (
        "tests/scheduler/test_scheduler.py::test_S06",
        "tests/scheduler/test_real_target.py::test_S06",
        "tests/scheduler/test_scheduler.py::test_what_is_unknown_is_stopped",
    ),
    "S07": ("tests/scheduler/test_scheduler.py::test_S07", SIM),
    "S08": ("tests/scheduler/test_inventory.py::test_S08", SIM),
    "S09": (
        "tests/scheduler/test_inventory.py::test_S09",
        "tests/scheduler/test_health.py::test_S09",
    ),
    "S10": (
        "tests/scheduler/queue/test_reserved.py::test_who_passes",
        "tests/scheduler/queue/test_time.py::test_a_big_job_starts_by_its_reserved_start",
        "tests/scheduler/queue/test_time.py::test_without_known_ends_nobody_who_came_later",
    ),
    "S11": (
        "tests/scheduler/queue/test_reserved.py::test_of_two_that_fit_half",
        "tests/integration/test_jobs.py::test_S11",
    ),
    "S12": (DRILL, "tests/scheduler/test_scheduler.py::test_S12"),
    "S13": (
        "tests/benchmarks/test_scheduler.py::test_admissions_go_on",
        "tests/benchmarks/test_scheduler.py::test_a_replay_ends_every_job",
        "tests/benchmarks/test_scheduler.py::test_S13",
    ),
    "S14": ("tests/scheduler/queue/test_reserved.py::test_what_can_never_fit",),
    "S15": (
        "tests/scheduler/test_scheduler.py::test_S15",
        "tests/scheduler/kubernetes/driver/test_seen.py::test_s15",
        f"{PROCESS}/test_backoff.py::test_failures_in_a_row_wait_longer",
        "tests/scheduler/test_failing.py::test_S15",
        "tests/scheduler/test_drivers.py::test_an_image_that_is_not_there_is_refused",
        f"{PROCESS}/test_layers.py::test_a_damaged_layer_leaves_nothing",
    ),
    "S16": ("tests/scheduler/test_scheduler.py::test_S16", SIM),
    "S17": (
        "tests/scenarios/test_clocks.py::test_S17",
        f"{PROCESS}/test_graves.py::test_S17",
        SIM,
    ),
    "S18": ("tests/scenarios/test_database.py::test_S18", SIM),
    "S19": (
        "tests/scheduler/test_deadlines.py::test_S19",
        "tests/acceptance/test_queue.py::test_S19",
        SIM,
    ),
    # what runs on a machine
    "L01": (
        f"{PROCESS}/test_adoption.py::test_a_killed_scheduler_leaves_its_replicas",
        "tests/acceptance/test_embedded.py::test_a_killed_platform_finds_its_replicas",
    ),
    "L02": (
        f"{PROCESS}/test_replica.py::test_grandchildren_in_sessions_of_their_own",
        f"{PROCESS}/test_run.py::test_what_it_leaves_running_ends_with_it",
        "tests/scheduler/test_drivers.py::test_L02",
    ),
    "L03": (
        f"{PROCESS}/test_replica.py::test_what_ignores_sigterm_is_killed",
        f"{PROCESS}/test_replica.py::test_what_a_killed_supervisor_leaves",
    ),
    "L04": (
        "tests/scheduler/container/test_walls.py::test_L04",
        f"{PROCESS}/test_limits.py::test_L04",
        "tests/scheduler/test_real_target.py::test_L04",
    ),
    "L05": ("tests/scenarios/test_life.py::test_L05",),
    "L06": (
        f"{PROCESS}/test_replica.py::test_L06",
        f"{PROCESS}/test_replica.py::test_two_listen_on_one_port",
        "tests/acceptance/test_embedded.py::test_a_taken_port_is_named",
    ),
    "L07": (
        "tests/scheduler/test_scheduler.py::test_S07",
        "tests/acceptance/test_embedded.py::test_L07",
        SIM,
    ),
    "L08": (
        f"{PROCESS}/test_tenants.py::test_L08",
        f"{PROCESS}/test_replica.py::test_the_platforms_things_are_out_of_sight",
        f"{PROCESS}/test_replica.py::test_the_machines_files_cannot_be_changed",
    ),
    "L09": (
        "tests/scheduler/container/test_lines.py::test_L09",
        f"{PROCESS}/test_output.py::test_a_flood_is_dropped_and_counted",
        f"{PROCESS}/test_replica.py::test_L09",
        "tests/scheduler/test_logs.py::test_a_line_is_kept_as_a_person_may_read_it",
    ),
    "L10": (
        "tests/scheduler/test_inventory.py::test_L10",
        "tests/scheduler/test_nvml.py::test_L10",
    ),
    # time, and faults of the machine
    "C01": (
        "tests/scenarios/test_clocks.py::test_C01",
        "tests/scheduler/test_owners.py::test_C01",
        SIM,
    ),
    "C02": (
        f"{OUTAGE}_D02_C02",
        DRILL,
        "tests/scheduler/test_epoch.py::test_S02",
        "tests/scheduler/test_leader.py::test_S02",
    ),
    "C03": (
        "tests/scenarios/test_machine.py::test_C03",
        "tests/shared/test_blobs.py::test_C03",
        f"{PROCESS}/test_replica.py::test_a_status_that_can_not_be_written",
    ),
    "C04": (
        f"{PROCESS}/test_replica.py::test_a_status_torn_by_a_power_cut",
        f"{PROCESS}/test_run.py::test_C04",
    ),
    "C05": (f"{OUTAGE}_C05", "tests/scenarios/test_machine.py::test_C05"),
    "C06": ("tests/shared/test_watchdog.py::test_C06", "tests/scheduler/test_leader.py::test_C06"),
    # the database
    "D01": (f"{OUTAGE}_D01", "tests/integration/test_pool.py::test_D01", SIM),
    "D02": (
        f"{OUTAGE}_D02_C02",
        "tests/integration/test_pool.py::test_D02",
        "tests/api/test_guard.py::test_a_database_that_is_away",
    ),
    "D03": (f"{OUTAGE}_D03", "tests/integration/test_pool.py::test_D03"),
    "D04": (
        "tests/scenarios/test_database.py::test_D04",
        "tests/api/test_database.py::test_D04",
    ),
    "D05": ("tests/integration/test_pool.py::test_D05",),
    "D06": ("tests/scenarios/test_database.py::test_D06",),
    "D07": (
        "tests/scenarios/test_database.py::test_D07",
        "tests/api/test_database.py::test_D07",
    ),
    "D08": (f"{OUTAGE}_D08", "tests/scenarios/test_database.py::test_D08"),
    "D09": (
        "tests/integration/test_pool.py::test_D09",
        "tests/integration/test_outbox.py::test_D09",
    ),
    "D13": (
        "tests/scheduler/test_leftovers.py::test_D13",
        "tests/acceptance/test_restore.py::test_D13",
        SIM,
    ),
}
"""Situation -> the tests that hold it, by file and the beginning of their names."""
