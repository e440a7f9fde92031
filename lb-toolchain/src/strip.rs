//! Takes out of an eBPF object what only a debugger reads: three quarters of it, which the agent would carry along.

use object::build;
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The sections of a debugger, and those that relocate them. The kernel's types and lines of code (`.BTF`, `.BTF.ext`) are
/// made of them and stay.
const DEBUG_SECTIONS: [&[u8]; 2] = [b".debug_", b".rel.debug_"];

/// The object without its debug information.
pub fn without_debug_information(object: &[u8]) -> Result<Vec<u8>, build::Error> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        section.delete = DEBUG_SECTIONS.iter().any(|prefix| section.name.starts_with(prefix));
    }
    builder.delete_orphans();
    // LLVM names sections in the table of the symbols' names, which this writer does not.
    let names = builder.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}
