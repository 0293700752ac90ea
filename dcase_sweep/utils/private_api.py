"""Private names of other libraries that this package uses, with reasons.

A test for each name fails when the library changes it, and another one fails for a name that is not listed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrivateName:
    """A private name of a library.

    Attributes:
        library: the library.
        name: the name that is imported, or of the attribute.
        reason: why there is no public alternative.
    """

    library: str
    name: str
    reason: str


PRIVATE_NAMES = (
    PrivateName(
        "hydra",
        "hydra._internal.core_plugins.file_config_source.FileConfigSource",
        "Every configuration file is checked before it is read; Hydra registers its own source of files for file://, "
        "and offers no way to replace or to wrap it.",
    ),
    PrivateName("hydra", "hydra._internal.sources_registry.SourcesRegistry", "The registry of that source."),
    PrivateName("hydra", "_normalize_file_name", "Of that source: from a choice to the name of its file."),
    PrivateName(
        "hydra",
        "hydra._internal.utils.get_args_parser",
        "A wrong option is refused in one line; Hydra's own parser prints its usage and exits.",
    ),
    PrivateName(
        "hydra",
        "hydra._internal.config_loader_impl.ConfigLoaderImpl",
        "A job that changes values alone is composed by the last step of Hydra's composition; all of it would take a "
        "tenth of a second for each job.",
    ),
    PrivateName("hydra", "_apply_overrides_to_config", "That step."),
    PrivateName(
        "hydra",
        "hydra._internal.config_loader_impl.get_overrides_dirname",
        "The name of a job's folder from its overrides, which Hydra sets after that step.",
    ),
    PrivateName(
        "hydra",
        "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
        "Tells whether jobs run in this process: hydra.launcher names the class, and there is no public name for it.",
    ),
    PrivateName(
        "omegaconf",
        "omegaconf._utils.get_omega_conf_dumper",
        "The rules by which OmegaConf quotes texts in YAML, for libyaml's writer.",
    ),
    PrivateName(
        "optuna",
        "optuna.storages.journal._storage.JournalOperation",
        "Tells which records of a journal end a trial: these are flushed to the disk.",
    ),
    PrivateName(
        "optuna",
        "_replay_result",
        "Of a storage in a journal: the trials that were read, of which only new and unfinished ones are looked up.",
    ),
    PrivateName("optuna", "_trials", "Of that: the trials by their IDs."),
    PrivateName("optuna", "_study_id_to_trial_ids", "Of that: the IDs of the trials of a study by their numbers."),
    PrivateName("optuna", "_sync_with_backend", "Of the storage: reads new records."),
    PrivateName("optuna", "_thread_lock", "Of the storage: held meanwhile."),
    PrivateName("optuna", "_write_log", "Of the storage: writes a record, which may wait for those after it."),
    PrivateName("optuna", "_backend", "Of the storage: the file that records are appended to."),
    PrivateName("optuna", "_get_trials", "Of a study: samplers read its trials by it, of which they are given a part."),
    PrivateName(
        "optuna",
        "optuna.storages._cached_storage._CachedStorage",
        "Keeps the finished trials of a database in memory; they are listed without sorting and filtering all of them.",
    ),
    PrivateName(
        "optuna",
        "optuna.storages._rdb.models",
        "The tables of a database: trials are read by a few queries, where each has the columns that are expected.",
    ),
    PrivateName("optuna", "_set_trial_param", "Of a database: stores a value by one query, likewise."),
    PrivateName("optuna", "_read_trials_from_remote_storage", "Of that: reads new and unfinished trials."),
    PrivateName("optuna", "_studies", "Of that: the trials that were read."),
    PrivateName("optuna", "_storage", "Of a study: trials are closed, and taken over, by the storage."),
    PrivateName("optuna", "_trial_id", "By which the storage knows a trial."),
    PrivateName("optuna", "_study_id", "By which the storage knows a study."),
    PrivateName(
        "optuna",
        "optuna.samplers._tpe.sampler._split_trials",
        "TPE with a memory divides the trials of several objectives as Optuna's own does. Without one of its private "
        "names, or with another version of Optuna, the latter is used.",
    ),
    PrivateName("optuna", "optuna.samplers._tpe.sampler.default_gamma", "Likewise: the number of good trials."),
    PrivateName(
        "optuna", "optuna.samplers._tpe.sampler.default_gamma_multiobjective", "Likewise, of several objectives."
    ),
    PrivateName(
        "optuna",
        "optuna.search_space.group_decomposed._GroupDecomposedSearchSpace",
        "Likewise: groups of parameters, which are divided by new trials only.",
    ),
    PrivateName("optuna", "_search_space", "Of that: the groups."),
    PrivateName("optuna", "_group_decomposed_search_space", "Of TPE: these groups, if it is to use them."),
    PrivateName("optuna", "_constant_liar", "Of TPE: whether it takes running trials into account."),
    PrivateName("optuna", "_n_startup_trials", "Of TPE: its number of random trials."),
    PrivateName("optuna", "_n_ei_candidates", "Of TPE: its number of candidates."),
    PrivateName("optuna", "_parzen_estimator_cls", "Of TPE: what it estimates densities with."),
    PrivateName("optuna", "_parzen_estimator_parameters", "Of TPE: the settings of that."),
    PrivateName("optuna", "_rng", "Of TPE: its random numbers."),
    PrivateName("optuna", "_get_params", "Of TPE: the values of a trial, also of a running one."),
    PrivateName("optuna", "_compute_acquisition_func", "Of TPE: compares candidates."),
    PrivateName("optuna", "_compare", "Of TPE: chooses the best candidate."),
    PrivateName("mlflow", "_tracking_client", "SQLite is configured not to wait for the disk at each commit."),
    PrivateName("codecarbon", "_scheduler", "Its threads are waited for: they write after stop() otherwise."),
    PrivateName("codecarbon", "_scheduler_monitor_power", "Likewise."),
    PrivateName("codecarbon", "_timer", "Likewise, of each scheduler."),
    PrivateName("codecarbon", "_hardware", "Runs record whether the energy is measured by a counter or estimated."),
    PrivateName("codecarbon", "_mode", "Likewise."),
    PrivateName("codecarbon", "_tdp", "Likewise: the watts that the estimate assumes."),
    PrivateName(
        "torch",
        "torch.utils._python_dispatch._get_current_dispatch_mode",
        "Fused operations give way to PyTorch's layers where a mode counts or changes operators.",
    ),
    PrivateName("torch", "_forward_hooks", "Likewise where a layer has hooks; PyTorch can add one but not list them."),
    PrivateName("torch", "_forward_pre_hooks", "Likewise."),
    PrivateName(
        "torch",
        "torch.utils._python_dispatch.TorchDispatchMode",
        "Activations are measured on every operator; the module is documented as the way, under a private name.",
    ),
    PrivateName("torch", "torch.utils._pytree.tree_leaves", "The tensors among the results of any operator."),
    PrivateName(
        "torch",
        "_foreach_mul_",
        "Updates the teacher in four kernels instead of one for each parameter, with a decay that is on the GPU; the "
        "public average of torch.optim.swa_utils takes a number.",
    ),
    PrivateName("torch", "_foreach_mul", "Likewise."),
    PrivateName("torch", "_foreach_add_", "Likewise."),
    PrivateName("torch", "_overloadpacket", "The operator of any of its overloads, by which products are counted."),
    PrivateName("torch", "_trilinear", "The operator of a bilinear layer."),
    PrivateName("torch", "_cdata", "The identity of a storage without memory, on the meta device."),
    PrivateName(
        "torch",
        "torch._utils._rebuild_tensor_v2",
        "A published checkpoint is read by an unpickler that allows these functions of PyTorch and no others.",
    ),
    PrivateName("torch", "torch._utils._rebuild_parameter", "Likewise."),
    PrivateName(
        "pytorch_lightning",
        "_average_model",
        "Of its callback WeightAveraging: the averaged weights are evaluated and kept, and no property has them.",
    ),
    PrivateName("keras", "_get_variable_index", "An optimizer finds the momentum of a variable by it."),
)
