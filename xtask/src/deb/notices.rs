//! The licences of the libraries that the program contains, which whoever hands it on has to hand on with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use lb_toolchain::Workspace;
use serde_json::Value;

use crate::cargo;

/// How the files begin in which a library has its licences and its authors.
const FILES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The libraries by name, version and licence, and then each text once, with the libraries that have it.
pub fn collect(workspace: &Workspace, target: &str) -> Result<String> {
    let mut command = cargo::command(workspace);
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let libraries = libraries(&metadata);
    let mut list = String::from("The program xlb contains these libraries, under these licences:\n\n");
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    for library in libraries {
        let word = |key: &str| library[key].as_str().unwrap_or("unknown");
        let name = format!("{} {}", word("name"), word("version"));
        writeln!(list, "{name}: {}", word("license"))?;
        for text in licences(Path::new(word("manifest_path")))? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, names) in texts {
        write!(list, "\n{}\n{}:\n\n{text}\n", "-".repeat(80), names.join(", "))?;
    }
    Ok(list)
}

/// The packages from elsewhere that the agent is linked with.
fn libraries<'a>(metadata: &'a Value) -> Vec<&'a Value> {
    let by_id = |list: &'a Value| -> BTreeMap<&'a str, &'a Value> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| Some((item["id"].as_str()?, item))).collect()
    };
    let (packages, nodes) = (by_id(&metadata["packages"]), by_id(&metadata["resolve"]["nodes"]));
    let agent = packages.iter().find(|(_, package)| package["name"] == "lb-userspace").map(|(id, _)| *id);
    let (mut found, mut open) = (BTreeSet::new(), Vec::from_iter(agent));
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let dependencies = nodes.get(id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
            let linked = dependencies.filter(|dependency| is_linked(dependency));
            open.extend(linked.filter_map(|dependency| dependency["pkg"].as_str()));
        }
    }
    let mut libraries: Vec<_> = found.iter().filter_map(|id| packages.get(id).copied()).collect();
    libraries.retain(|package| !package["source"].is_null());
    libraries.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    libraries
}

/// Whether it is no tool of a build script or of tests.
fn is_linked(dependency: &Value) -> bool {
    dependency["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null())
}

/// The texts that lie beside a library's manifest.
fn licences(manifest: &Path) -> Result<Vec<String>> {
    let folder = manifest.parent().context("a manifest in a folder")?;
    let mut paths: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let is_licence = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && FILES.iter().any(|start| name.starts_with(start))
    };
    paths
        .iter()
        .filter(is_licence)
        .map(|path| Ok(String::from_utf8_lossy(&fs::read(path)?).trim().to_owned()))
        .collect()
}
